package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
)

// MaxPage is the largest page of a list.
const MaxPage = 1000

// Call is one administrative request on its way to a reply.
type Call struct {
	Writer     http.ResponseWriter
	Request    *http.Request
	ID         string     // of the request
	Parameters []string   // from the path, unescaped
	Caller     ledger.Key // the zero key on routes for anyone
	logger     *slog.Logger
	route      *Route
	body       []byte // as Fields read it
}

// Context is the request's context.
func (c *Call) Context() context.Context { return c.Request.Context() }

// Fields reads the body, which must be one JSON object.
func (c *Call) Fields() (*Fields, error) {
	body, err := readBody(c.Writer, c.Request)
	if err != nil {
		return nil, err
	}
	c.body = body
	return ParseFields(body)
}

// OptionalFields reads a body that may be absent, which is the same as {}.
func (c *Call) OptionalFields() (*Fields, error) {
	body, err := readBody(c.Writer, c.Request)
	if err != nil {
		return nil, err
	}
	// It does not go by the length, which is unknown in HTTP/3 and with chunks.
	if len(body) == 0 {
		body = []byte("{}")
	}
	c.body = body
	return ParseFields(body)
}

// Idempotency returns what tells a repeated request from a new one: the header
// Idempotency-Key, for this caller and route alone, and a hash of the path and of the
// body that Fields read. Without the header it is zero.
func (c *Call) Idempotency() ledger.Idempotency {
	key := c.Request.Header.Get(IdempotencyHeader)
	if key == "" {
		return ledger.Idempotency{}
	}
	// The order and the spaces between members mean nothing. What is no JSON is hashed
	// as it came: it will be refused.
	asked, decoder := c.body, json.NewDecoder(bytes.NewReader(c.body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) == nil {
		if canonical, err := json.Marshal(value); err == nil {
			asked = canonical
		}
	}
	return ledger.Idempotency{
		Key: key, Scope: c.route.Method + " " + c.route.Path + " " + c.Caller.ID,
		Request: sha256.Sum256(fmt.Appendf(nil, "%q %s", c.Parameters, asked)),
	}
}

// IdempotencyHeader is the header with which a client makes sure that a request that it
// sends again takes effect once.
const IdempotencyHeader = "Idempotency-Key"

// Query reads the parameters of the query.
func (c *Call) Query() (*Query, error) { return readQuery(c.Request) }

// Audit writes who changed what into the log.
func (c *Call) Audit(what, subject string) {
	c.logger.Info(what, slog.String("subject", subject), slog.String("by", c.Caller.ID), slog.String("request_id", c.ID))
}

// JSON sends a reply. Replies may hold a key and are always about one caller, so
// no cache keeps them.
func (c *Call) JSON(status int, body any) {
	header := c.Writer.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	c.Writer.WriteHeader(status)
	// The status is sent: an error here means that the client has gone.
	_ = json.NewEncoder(c.Writer).Encode(body)
}

// Stream begins a reply that is written piece by piece with status 200.
func (c *Call) Stream(contentType string) *json.Encoder {
	c.Writer.Header().Set("Content-Type", contentType)
	c.Writer.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(c.Writer)
}

// Manages reports whether the caller may see and change what an owner has.
func (c *Call) Manages(owner string) bool {
	return c.Caller.Role == ledger.RoleAdmin && (c.Caller.AllOwners || c.Caller.Owner == owner)
}

// MayChange refuses to let an admin of one owner change a key for all owners,
// which may well belong to the same owner: its next text would be theirs.
func (c *Call) MayChange(key *ledger.Key) error {
	if key.AllOwners && !c.Caller.AllOwners {
		return Forbidden("all_owners_required", "Forbidden: this key can only be changed by an admin key for all owners")
	}
	return nil
}
