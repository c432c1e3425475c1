package admin

import (
	"net/http"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// keyPage is a page of keys. Next is the value of after for the page that follows.
type keyPage struct {
	Keys []keyView `json:"keys"`
	Next string    `json:"next,omitempty"`
}

func (h *Handler) createKey(c *rest.Call) error {
	f, err := c.Fields()
	if err != nil {
		return err
	}
	idempotency := c.Idempotency()
	// Before what is asked is judged: an expiry may lie in the past by now.
	if key, again, err := h.ledger.MadeKey(c.Context(), idempotency); again || err != nil {
		return h.secretReply(c, http.StatusCreated, &key, ledger.Secret{}, err)
	}
	made := keyForm{f, &h.rules}.newKey(h.now())
	if err := f.Err(); err != nil {
		return err
	}
	made.Idempotency = idempotency
	if err := h.settleOwner(c, &made); err != nil {
		return err
	}
	key, secret, err := h.ledger.CreateKey(c.Context(), made)
	if err == nil && secret.Reveal() != "" {
		c.Audit("key created", key.ID)
	}
	return h.secretReply(c, http.StatusCreated, &key, secret, err)
}

// secretReply shows a new secret with status, or says that an earlier request did.
func (h *Handler) secretReply(c *rest.Call, status int, key *ledger.Key, secret ledger.Secret, err error) error {
	if err != nil {
		return err
	}
	view := h.viewSecret(key, secret)
	if view.Replayed {
		status = http.StatusOK
	}
	c.JSON(status, view)
	return nil
}

// settleOwner fills in the owner of a new key, and refuses one that the caller does not
// manage.
func (h *Handler) settleOwner(c *rest.Call, made *ledger.NewKey) error {
	if made.Owner == "" {
		made.Owner = c.Caller.Owner // empty for the configured key: the ledger's default
	}
	if made.Owner != "" && !c.Manages(made.Owner) || made.AllOwners && !c.Caller.AllOwners {
		return rest.Forbidden("other_owner", "Forbidden: this admin key manages its own owner only")
	}
	return nil
}

func (h *Handler) listKeys(c *rest.Call) error {
	q, err := c.Query()
	if err != nil {
		return err
	}
	query := ledger.KeyQuery{
		Owner: q.Text("owner"), Model: q.Text("model"), Name: q.Text("name"), After: q.Text("after"),
		Limit: int(q.Integer("limit", 100, 1, rest.MaxPage)),
	}
	switch q.Word("role", "member", "admin") {
	case "member":
		query.Role = new(ledger.RoleMember)
	case "admin":
		query.Role = new(ledger.RoleAdmin)
	}
	word := q.Word("state", "active", "expired", "paused", "revoked")
	for state, name := range stateNames {
		if name == word {
			query.State = state
		}
	}
	if err := q.Done(); err != nil {
		return err
	}
	if query.Owner, err = h.managedOwner(c, query.Owner); err != nil {
		return err
	}
	if query.After != "" {
		if _, err := h.managedKey(c, query.After); err != nil {
			return rest.Invalid("after", "%s is not a cursor of this list", rest.Shown(query.After))
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
	c.JSON(http.StatusOK, page)
	return nil
}

// managedOwner narrows a list to what the caller manages.
func (h *Handler) managedOwner(c *rest.Call, asked string) (string, error) {
	if c.Caller.AllOwners {
		return asked, nil
	}
	if asked != "" && asked != c.Caller.Owner {
		return "", rest.Forbidden("other_owner", "Forbidden: this admin key manages its own owner only")
	}
	return c.Caller.Owner, nil
}

// managedKey returns a key that the caller manages. To anyone else it does not exist.
func (h *Handler) managedKey(c *rest.Call, id string) (ledger.Key, error) {
	key, ok := h.ledger.Key(id)
	if !ok || !c.Manages(key.Owner) {
		return ledger.Key{}, rest.NotFound("key", id)
	}
	return key, nil
}

// changeableKey returns a key that the caller may change.
func (h *Handler) changeableKey(c *rest.Call, id string) (ledger.Key, error) {
	key, err := h.managedKey(c, id)
	if err == nil {
		err = c.MayChange(&key)
	}
	return key, err
}

func (h *Handler) getKey(c *rest.Call) error {
	key, err := h.managedKey(c, c.Parameters[0])
	if err != nil {
		return err
	}
	h.keyReply(c, &key)
	return nil
}

// keyReply shows a key; its version is the entity tag.
func (h *Handler) keyReply(c *rest.Call, key *ledger.Key) {
	c.Writer.Header().Set("ETag", versionTag(key.Version))
	c.JSON(http.StatusOK, h.viewKey(key))
}

func (h *Handler) revokeKey(c *rest.Call) error {
	key, err := h.revoke(c, c.Parameters[0])
	if err != nil {
		return err
	}
	h.keyReply(c, &key)
	return nil
}

// revoke ends a key and reports that to WithRevoked's function.
func (h *Handler) revoke(c *rest.Call, id string) (ledger.Key, error) {
	if _, err := h.changeableKey(c, id); err != nil {
		return ledger.Key{}, err
	}
	key, err := h.ledger.RevokeKey(c.Context(), id)
	if err != nil {
		return ledger.Key{}, err
	}
	c.Audit("key revoked", key.ID)
	h.revoked(key.ID)
	return key, nil
}
