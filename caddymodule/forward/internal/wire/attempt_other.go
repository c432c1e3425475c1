//go:build !unix

package wire

import "errors"

// Supported says that the system can do what the package needs.
const Supported = false

// attempt is not used on this system.
type attempt struct{}

func (c *connection) bind() error { return errors.ErrUnsupported }

func (c *connection) quiet() bool { return false }

func (c *connection) writeNow([]byte) (int, error) { return 0, errors.ErrUnsupported }
