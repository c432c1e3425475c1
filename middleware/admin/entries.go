package admin

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

const (
	maxEntries = 100_000
	// entryPage is how many entries are read at a time.
	entryPage = 1000
)

// entryKinds are the kinds of entries on the wire.
var entryKinds = ledger.KindNames()

// entries exports the log, or what of it is asked for, as JSON lines in order. An
// administrator of one owner gets the entries of that owner's account. A client asks
// again, with the seq of its last line as after, until it gets none.
func (h *Handler) entries(c *rest.Call) error {
	query, limit, err := h.entryQuery(c)
	if err != nil {
		return err
	}
	// The first page comes before the header, so that an error still has a status.
	query.Limit = min(limit, entryPage)
	page, err := h.ledger.FindEntries(c.Context(), query)
	if err != nil {
		return err
	}
	c.Writer.Header().Set("Content-Type", "application/x-ndjson")
	c.Writer.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(c.Writer)
	for len(page) > 0 {
		for i := range page {
			if encoder.Encode(&page[i]) != nil {
				return nil // the client has gone
			}
		}
		limit -= len(page)
		if limit == 0 || len(page) < query.Limit {
			return nil
		}
		query.After, query.Limit = page[len(page)-1].Sequence, min(limit, entryPage)
		page, err = h.ledger.FindEntries(c.Context(), query)
		if err != nil {
			// The status is sent. A broken connection shows the client that lines are
			// missing; after a clean end it would believe that it has them all.
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}

// entryQuery reads which entries are asked for, and how many at most.
func (h *Handler) entryQuery(c *rest.Call) (query ledger.EntryQuery, limit int, err error) {
	q, err := c.Query()
	if err != nil {
		return query, 0, err
	}
	query = ledger.EntryQuery{
		After: q.Integer("after", 0, 0, schema.MaxInteger), Account: q.Text("account"), KeyID: q.Text("key"),
		RequestID: q.Text("request_id"), From: q.Moment("from"), Before: q.Moment("before"),
	}
	limit = int(q.Integer("limit", 10_000, 1, maxEntries))
	if kinds := q.Text("kind"); kinds != "" {
		for word := range strings.SplitSeq(kinds, ",") {
			kind, err := ledger.ParseKind(word)
			if err != nil {
				q.Refuse("kind", "%s is not one of %v", rest.Shown(word), entryKinds)
			}
			query.Kinds = append(query.Kinds, kind)
		}
	}
	if err := q.Done(); err != nil {
		return query, 0, err
	}
	if query.Account, err = h.managedOwner(c, query.Account); err != nil {
		return query, 0, err
	}
	if query.KeyID != "" {
		if _, err := h.managedKey(c, query.KeyID); err != nil {
			return query, 0, err
		}
	}
	return query, limit, nil
}
