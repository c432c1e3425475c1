package aixplain

import (
	"cmp"
	"encoding/json"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// workspace returns the owner whose keys the caller's SDK manages. The
// configured admin key has none and gets the ledger's default.
func workspace(c *rest.Call) string { return cmp.Or(c.Caller.Owner, "default") }

// workspaceKey returns a key of the caller's workspace. A revoked key was deleted
// for this client.
func (a *api) workspaceKey(c *rest.Call, id string) (ledger.Key, error) {
	key, ok := a.Ledger.Key(id)
	if !ok || key.Owner != workspace(c) || !key.RevokedAt.IsZero() {
		return ledger.Key{}, rest.NotFound("key", id)
	}
	return key, nil
}

// eachWorkspaceKey calls use for every key that is not deleted until use returns false.
func (a *api) eachWorkspaceKey(c *rest.Call, use func(*ledger.Key) bool) error {
	query := ledger.KeyQuery{Owner: workspace(c), Limit: rest.MaxPage}
	for {
		keys, next, err := a.Ledger.ListKeys(query)
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

// listKeys answers with the bare array that the SDK expects, key by key, as it
// has no pages.
func (a *api) listKeys(c *rest.Call) error {
	c.Writer.Header().Set("Content-Type", "application/json")
	c.Writer.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(c.Writer)
	separator := "["
	err := a.eachWorkspaceKey(c, func(key *ledger.Key) bool {
		if _, err := c.Writer.Write([]byte(separator)); err != nil {
			return false
		}
		separator = ","
		return encoder.Encode(viewKey(key, "")) == nil
	})
	if err != nil {
		// Half an array must not look like a complete one.
		panic(http.ErrAbortHandler)
	}
	if separator == "[" {
		_, _ = c.Writer.Write([]byte("["))
	}
	_, _ = c.Writer.Write([]byte("]\n"))
	return nil
}

// createKey makes a key. A name that is taken is the only 422 of these routes: the
// SDK reads it as a clash of names and adopts the key that has the name.
func (a *api) createKey(c *rest.Call) error {
	f, err := c.Fields()
	if err != nil {
		return err
	}
	idempotency := c.Idempotency()
	if key, again, err := a.Ledger.MadeKey(c.Context(), idempotency); again || err != nil {
		if err == nil {
			c.JSON(http.StatusCreated, viewMade(&key, ""))
		}
		return err
	}
	form := a.readForm(f, nil)
	if err := f.Err(); err != nil {
		return err
	}
	key, secret, err := a.Ledger.CreateKey(c.Context(), ledger.NewKey{
		Name: form.name, UniqueName: true, Owner: workspace(c), Limits: form.limits, Idempotency: idempotency,
		HasBudget: form.hasBudget, Budget: form.budget, ExpiresAt: form.expiresAt,
	})
	if err != nil {
		return err
	}
	// Without a secret the same request came twice at once, and the other one made the key.
	if secret.Reveal() != "" {
		c.Audit("key created", key.ID)
	}
	c.JSON(http.StatusCreated, viewMade(&key, secret.Reveal()))
	return nil
}

func (a *api) getKey(c *rest.Call) error {
	key, err := a.workspaceKey(c, c.Parameters[0])
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, viewKey(&key, ""))
	return nil
}

// updateKey replaces what the SDK knows of a key: it clears a field by leaving it out.
// What it does not know of stays as it is.
func (a *api) updateKey(c *rest.Call) error {
	key, err := a.workspaceKey(c, c.Parameters[0])
	if err == nil {
		err = c.MayChange(&key)
	}
	if err != nil {
		return err
	}
	f, err := c.Fields()
	if err != nil {
		return err
	}
	form := a.readForm(f, &key)
	if err := f.Err(); err != nil {
		return err
	}
	key, err = a.Ledger.UpdateKey(c.Context(), key.ID, 0, ledger.KeyPatch{
		Name: &form.name, UniqueName: true, Limits: &form.limits, Effective: ledger.EffectiveNextWindow,
		Budget: &ledger.Budget{Amount: form.budget, Unlimited: !form.hasBudget}, ExpiresAt: &form.expiresAt,
	})
	if err != nil {
		return err
	}
	c.Audit("key changed", key.ID)
	c.JSON(http.StatusOK, viewKey(&key, ""))
	return nil
}

// deleteKey answers 200 with a body: the older SDK accepts no other success.
func (a *api) deleteKey(c *rest.Call) error {
	key, err := a.workspaceKey(c, c.Parameters[0])
	if err == nil {
		err = c.MayChange(&key)
	}
	if err != nil {
		return err
	}
	if key, err = a.Ledger.RevokeKey(c.Context(), key.ID); err != nil {
		return err
	}
	c.Audit("key revoked", key.ID)
	a.Revoked(key.ID)
	c.JSON(http.StatusOK, viewKey(&key, ""))
	return nil
}
