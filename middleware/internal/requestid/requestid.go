// Package requestid makes the ids of requests, in the one form that answers, logs, entries
// and upstreams get, and reads the ids that clients give to their own requests.
package requestid

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/penstockhq/penstock/ledger"
)

// prefix begins each id.
const prefix = "req_"

// New returns a unique id: req_ and 24 hexadecimal digits.
func New() string {
	var raw [12]byte
	rand.Read(raw[:])
	id := [len(prefix) + 2*len(raw)]byte{}
	hex.Encode(id[copy(id[:], prefix):], raw[:])
	return string(id[:])
}

// maxClient is how much of a client's id is kept, in bytes.
const maxClient = 128

// Client returns the id that a client gave to its request, for logs: the first of
// X-Request-Id, Request-Id and X-Client-Request-Id. It is cut to 128 bytes, and
// characters that have no place in an id are left out. Empty: there is none, or it has the
// form of a key.
func Client(header http.Header) string {
	for _, name := range [...]string{"X-Request-Id", "Request-Id", "X-Client-Request-Id"} {
		if values := header[name]; len(values) > 0 {
			return clean(values[0])
		}
	}
	return ""
}

func clean(id string) string {
	if ledger.HoldsKey(id) {
		return ""
	}
	id = id[:min(len(id), maxClient)]
	return strings.Map(func(char rune) rune {
		switch {
		case '0' <= char && char <= '9', 'a' <= char && char <= 'z', 'A' <= char && char <= 'Z',
			strings.ContainsRune("-_.:/+=@~|", char):
			return char
		}
		return -1
	}, id)
}
