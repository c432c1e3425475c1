package admin

import (
	"log/slog"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
)

// maxPage is the largest page of a list.
const maxPage = 1000

// keyPage is a page of keys. Next is what after must be for the page behind it.
type keyPage struct {
	Keys []keyView `json:"keys"`
	Next string    `json:"next,omitempty"`
}

func (h *Handler) createKey(c *call) error {
	f, err := readFields(c.writer, c.request)
	if err != nil {
		return err
	}
	made := keyForm{f, h}.newKey(h.now())
	if err := f.err(); err != nil {
		return err
	}
	if made.Owner == "" {
		made.Owner = c.caller.Owner // empty for the configured key: the ledger's default
	}
	if made.Owner != "" && !c.manages(made.Owner) || made.AllOwners && !c.caller.AllOwners {
		return forbidden("other_owner", "Forbidden: this admin key manages its own owner only")
	}
	key, secret, err := h.ledger.CreateKey(c.context(), made)
	if err != nil {
		return err
	}
	c.audit("key created", key.ID)
	c.json(http.StatusCreated, secretView{h.viewKey(&key), secret.Reveal()})
	return nil
}

func (h *Handler) listKeys(c *call) error {
	q, err := readQuery(c)
	if err != nil {
		return err
	}
	query := ledger.KeyQuery{
		Owner: q.text("owner"), Model: q.text("model"), Name: q.text("name"), After: q.text("after"),
		Limit: int(q.integer("limit", 100, 1, maxPage)),
	}
	switch q.word("role", "member", "admin") {
	case "member":
		query.Role = new(ledger.RoleMember)
	case "admin":
		query.Role = new(ledger.RoleAdmin)
	}
	word := q.word("state", "active", "expired", "revoked")
	for state, name := range stateNames {
		if name == word {
			query.State = state
		}
	}
	if err := q.done(); err != nil {
		return err
	}
	if query.Owner, err = c.ownerScope(query.Owner); err != nil {
		return err
	}
	if query.After != "" {
		if _, err := c.managedKey(query.After); err != nil {
			return invalid("after", "%s is no cursor of this list", shown(query.After))
		}
	}
	keys, next, err := h.ledger.ListKeys(query)
	if err != nil {
		return err
	}
	page := keyPage{Keys: make([]keyView, len(keys)), Next: next}
	for i := range keys {
		page.Keys[i] = h.viewKey(&keys[i])
	}
	c.json(http.StatusOK, page)
	return nil
}

// ownerScope narrows a list to what the caller manages.
func (c *call) ownerScope(asked string) (string, error) {
	if c.caller.AllOwners {
		return asked, nil
	}
	if asked != "" && asked != c.caller.Owner {
		return "", forbidden("other_owner", "Forbidden: this admin key manages its own owner only")
	}
	return c.caller.Owner, nil
}

// managedKey returns a key that the caller manages. Those of others look as if
// they were not there.
func (c *call) managedKey(id string) (ledger.Key, error) {
	key, ok := c.handler.ledger.Key(id)
	if !ok || !c.manages(key.Owner) {
		return ledger.Key{}, notFound("key", id)
	}
	return key, nil
}

// changeableKey returns a key that the caller may change.
func (c *call) changeableKey(id string) (ledger.Key, error) {
	key, err := c.managedKey(id)
	if err == nil {
		err = c.outranked(&key)
	}
	return key, err
}

func (h *Handler) getKey(c *call) error {
	key, err := c.managedKey(c.parameters[0])
	if err != nil {
		return err
	}
	c.keyReply(&key)
	return nil
}

// keyReply shows a key; its version is the entity tag.
func (c *call) keyReply(key *ledger.Key) {
	c.writer.Header().Set("ETag", versionTag(key.Version))
	c.json(http.StatusOK, c.handler.viewKey(key))
}

func (h *Handler) revokeKey(c *call) error {
	key, err := c.revoke(c.parameters[0])
	if err != nil {
		return err
	}
	c.keyReply(&key)
	return nil
}

// revoke ends a key and tells those who run its streams.
func (c *call) revoke(id string) (ledger.Key, error) {
	if _, err := c.changeableKey(id); err != nil {
		return ledger.Key{}, err
	}
	key, err := c.handler.ledger.RevokeKey(c.context(), id)
	if err != nil {
		return ledger.Key{}, err
	}
	c.audit("key revoked", key.ID)
	c.handler.revoked(key.ID)
	return key, nil
}

// audit writes who changed what into the log.
func (c *call) audit(what, subject string) {
	c.handler.logger.Info(what, slog.String("subject", subject), slog.String("by", c.caller.ID), slog.String("request_id", c.id))
}
