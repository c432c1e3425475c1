package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/penstockhq/penstock/internal/clip"
)

// maxModels bounds how many model names one ledger knows, because callers choose
// them where a key has no list of models.
const maxModels = 1 << 16

// errModels says that a call names one model too many.
var errModels = errors.New("too many different models")

// names gives texts small numbers. Number 0 is the empty text.
type names struct {
	text   []string
	number map[string]uint32
}

func newNames() names {
	return names{text: []string{""}, number: map[string]uint32{"": 0}}
}

// index returns the number of a text, a new one if need be.
func (n *names) index(text string) (uint32, error) {
	if number, ok := n.number[text]; ok {
		return number, nil
	}
	if len(n.text) >= maxModels {
		return 0, fmt.Errorf("model %q: %w (%d)", clip.Text(text), errModels, maxModels)
	}
	number := uint32(len(n.text))
	n.text = append(n.text, text)
	n.number[text] = number
	return number, nil
}

// referenceMark is how a used idempotency key is remembered: 16 bytes whatever its
// length.
func referenceMark(reference string) [16]byte {
	sum := sha256.Sum256([]byte(reference))
	return [16]byte(sum[:16])
}
