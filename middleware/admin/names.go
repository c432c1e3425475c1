package admin

import "sync"

// Names is held while the name of a key is looked for and taken on the aiXplain
// routes, where names are unique. It is safe for concurrent use.
type Names struct{ mu sync.Mutex }

// NewNames returns a lock that nobody holds.
func NewNames() *Names { return new(Names) }
