package admin

import (
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// maxHint is the length of a hint in bytes: the first and the last four characters.
const maxHint = 8

// importKey makes a key whose text exists already, for example in another gateway. Only
// the SHA-256 of the text is sent: nobody has to show the text.
func (h *Handler) importKey(c *rest.Call) error {
	f, err := c.Fields()
	if err != nil {
		return err
	}
	idempotency := c.Idempotency()
	// Before what is asked is judged: an expiry may lie in the past by now.
	if key, again, err := h.ledger.MadeKey(c.Context(), idempotency); again || err != nil {
		return h.importReply(c, http.StatusOK, &key, err)
	}
	var hash [32]byte
	text := f.Text("sha256", 2*len(hash))
	if n, err := hex.Decode(hash[:], []byte(text)); err != nil || n != len(hash) {
		f.Refuse("sha256", "required: the SHA-256 of the key's text in hexadecimal, 64 digits")
	}
	hint := f.Text("hint", maxHint)
	made := keyForm{f, &h.rules}.newKey(h.now())
	if err := f.Err(); err != nil {
		return err
	}
	made.Idempotency = idempotency
	if err := h.settleOwner(c, &made); err != nil {
		return err
	}
	key, err := h.ledger.ImportKey(c.Context(), made, hash, hint)
	if errors.Is(err, ledger.ErrExists) {
		return &rest.Problem{
			Status: http.StatusConflict, Code: "exists", Param: "sha256", Message: "a key with this SHA-256 exists already",
		}
	}
	if err == nil {
		c.Audit("key imported", key.ID)
	}
	return h.importReply(c, http.StatusCreated, &key, err)
}

// importReply shows an imported key, whose text nobody here knows.
func (h *Handler) importReply(c *rest.Call, status int, key *ledger.Key, err error) error {
	if err != nil {
		return err
	}
	c.Writer.Header().Set("ETag", versionTag(key.Version))
	c.JSON(status, h.viewKey(key))
	return nil
}
