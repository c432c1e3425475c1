package admin

import (
	"cmp"
	"encoding/json"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
)

// The aiXplain routes know workspaces, not owners: an admin key sees the keys of
// its own owner there, also if it manages all owners.

// workspace returns the owner whose keys the caller's SDK manages. The
// configured admin key has none and gets the ledger's default.
func (c *call) workspace() string { return cmp.Or(c.caller.Owner, "default") }

// workspaceKey returns a key of the caller's workspace. A revoked key was deleted
// for this client.
func (c *call) workspaceKey(id string) (ledger.Key, error) {
	key, ok := c.handler.ledger.Key(id)
	if !ok || key.Owner != c.workspace() || !key.RevokedAt.IsZero() {
		return ledger.Key{}, notFound("key", id)
	}
	return key, nil
}

// eachWorkspaceKey calls use for every key that is not deleted, until it returns
// false.
func (c *call) eachWorkspaceKey(name string, use func(*ledger.Key) bool) error {
	query := ledger.KeyQuery{Owner: c.workspace(), Name: name, Limit: maxPage}
	for {
		keys, next, err := c.handler.ledger.ListKeys(query)
		if err != nil {
			return err
		}
		for i := range keys {
			if keys[i].RevokedAt.IsZero() && !use(&keys[i]) {
				return nil
			}
		}
		if next == "" {
			return nil
		}
		query.After = next
	}
}

// sdkList answers with the bare array that the SDK expects, key by key, as it
// has no pages.
func (h *Handler) sdkList(c *call) error {
	c.writer.Header().Set("Content-Type", "application/json")
	c.writer.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(c.writer)
	separator := "["
	err := c.eachWorkspaceKey("", func(key *ledger.Key) bool {
		if _, err := c.writer.Write([]byte(separator)); err != nil {
			return false
		}
		separator = ","
		return encoder.Encode(viewAixplain(key, "")) == nil
	})
	if err != nil {
		// Half an array must not look like a whole one.
		panic(http.ErrAbortHandler)
	}
	if separator == "[" {
		_, _ = c.writer.Write([]byte("["))
	}
	_, _ = c.writer.Write([]byte("]\n"))
	return nil
}

// nameTaken is the only 422 of these routes: the SDK reads it as a clash of
// names and adopts the key that has the name.
func (c *call) nameTaken(name, exceptID string) error {
	taken := false
	err := c.eachWorkspaceKey(name, func(key *ledger.Key) bool {
		taken = key.Name == name && key.ID != exceptID
		return !taken
	})
	if err == nil && taken {
		return &problem{status: http.StatusUnprocessableEntity, code: "name_taken", param: "name", message: "a key with this name exists"}
	}
	return err
}

func (h *Handler) sdkCreate(c *call) error {
	f, err := readFields(c.writer, c.request)
	if err != nil {
		return err
	}
	form := h.aixplainForm(f, nil)
	if err := f.err(); err != nil {
		return err
	}
	// Between the look at the names and the new key no other may take the name.
	h.names.mu.Lock()
	defer h.names.mu.Unlock()
	if err := c.nameTaken(form.name, ""); err != nil {
		return err
	}
	key, secret, err := h.ledger.CreateKey(c.context(), ledger.NewKey{
		Name: form.name, Owner: c.workspace(), Limits: form.limits,
		HasBudget: form.hasBudget, Budget: form.budget, ExpiresAt: form.expiresAt,
	})
	if err != nil {
		return err
	}
	c.audit("key created", key.ID)
	c.json(http.StatusCreated, viewAixplain(&key, secret.Reveal()))
	return nil
}

func (h *Handler) sdkGet(c *call) error {
	key, err := c.workspaceKey(c.parameters[0])
	if err != nil {
		return err
	}
	c.json(http.StatusOK, viewAixplain(&key, ""))
	return nil
}

// sdkUpdate replaces what the SDK knows of a key. It has no way to say "clear"
// but by leaving a field out. What it does not know of stays.
func (h *Handler) sdkUpdate(c *call) error {
	key, err := c.workspaceKey(c.parameters[0])
	if err == nil {
		err = c.outranked(&key)
	}
	if err != nil {
		return err
	}
	f, err := readFields(c.writer, c.request)
	if err != nil {
		return err
	}
	form := h.aixplainForm(f, &key)
	if err := f.err(); err != nil {
		return err
	}
	h.names.mu.Lock()
	defer h.names.mu.Unlock()
	if err := c.nameTaken(form.name, key.ID); err != nil {
		return err
	}
	key, err = h.ledger.UpdateKey(c.context(), key.ID, 0, ledger.KeyPatch{
		Name: &form.name, Limits: &form.limits, Effective: ledger.EffectiveNextWindow,
		Budget: &ledger.Budget{Amount: form.budget, Unlimited: !form.hasBudget}, ExpiresAt: &form.expiresAt,
	})
	if err != nil {
		return err
	}
	c.audit("key changed", key.ID)
	c.json(http.StatusOK, viewAixplain(&key, ""))
	return nil
}

// sdkDelete answers 200 with a body: the older SDK accepts no other success.
func (h *Handler) sdkDelete(c *call) error {
	if _, err := c.workspaceKey(c.parameters[0]); err != nil {
		return err
	}
	key, err := c.revoke(c.parameters[0])
	if err != nil {
		return err
	}
	c.json(http.StatusOK, viewAixplain(&key, ""))
	return nil
}
