package redisstore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/penstockhq/penstock/limiter"
)

// digest returns 22 letters that stand for a name in Redis.
func digest(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + name))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// place says where a call is counted.
type place struct {
	base  string // name of the key's counter
	model string // digest of the model; empty: only the key counts it
}

// place returns where a call is counted. All names of an owner have the same hash tag.
func (s *Store) place(request *limiter.Request) place {
	owner := request.Owner
	if owner == "" {
		owner = "key " + request.Key
	}
	p := place{base: s.prefix + ":{" + digest("owner", owner) + "}:" + digest("key", request.Key)}
	for i := range request.Rows {
		if row := &request.Rows[i]; row.Model != "" && row.Model == request.Model {
			p.model = digest("model", request.Model)
			break
		}
	}
	return p
}

// keys returns the names that the scripts take: the key's counter and those of one
// direction, its calls in flight, the mark of a call that is over, and the same counters
// of the model.
func (p *place) keys(id string) []string {
	keys := []string{p.base, p.base + ".1", p.base + ".2", p.base + ".calls", p.base + ".over." + id}
	if p.model != "" {
		model := p.base + ":" + p.model
		keys = append(keys, model, model+".1", model+".2")
	}
	return keys
}

// callID returns the name of a call of this store: unlike those of all others.
func (s *Store) callID(number uint64) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], s.nonce)
	binary.BigEndian.PutUint64(id[8:], number)
	return base64.RawURLEncoding.EncodeToString(id[:])
}
