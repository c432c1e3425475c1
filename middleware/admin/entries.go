package admin

import (
	"encoding/json"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

const (
	maxEntries = 100_000
	// entryPage is how many entries are read at a time.
	entryPage = 1000
)

// entries exports the log as JSON lines in order. An administrator of one owner gets
// the entries of that owner's account. A client asks again, with the seq of its last
// line as after, until it gets none.
func (h *Handler) entries(c *rest.Call) error {
	q, err := c.Query()
	if err != nil {
		return err
	}
	after, limit := q.Integer("after", 0, 0, schema.MaxInteger), int(q.Integer("limit", 10_000, 1, maxEntries))
	account := q.Text("account")
	if err := q.Done(); err != nil {
		return err
	}
	if account, err = h.managedOwner(c, account); err != nil {
		return err
	}
	// The first page comes before the header, so that an error still has a status.
	page, err := h.ledger.Entries(c.Context(), after, entryPage)
	if err != nil {
		return err
	}
	c.Writer.Header().Set("Content-Type", "application/x-ndjson")
	c.Writer.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(c.Writer)
	for len(page) > 0 {
		for i := range page {
			if !entryOf(&page[i], account) {
				continue
			}
			if limit == 0 || encoder.Encode(&page[i]) != nil {
				return nil // the client has what it asked for, or has gone
			}
			limit--
		}
		page, err = h.ledger.Entries(c.Context(), page[len(page)-1].Sequence, entryPage)
		if err != nil {
			// The status is sent. A broken connection shows the client that lines are
			// missing; after a clean end it would believe that it has them all.
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}

// entryOf reports whether an entry belongs to an account. All belong to the empty one.
func entryOf(entry *ledger.Entry, account string) bool {
	return account == "" || entry.Account == account
}
