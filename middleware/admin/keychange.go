package admin

import (
	"net/http"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

const (
	// usualOverlap is how long the old text of a rotated key still works, unless
	// the call says otherwise: a day to roll the new one out.
	usualOverlap = 24 * time.Hour
)

// rotatedView is the reply to a rotation.
type rotatedView struct {
	secretView
	PreviousValidUntil *string `json:"previous_valid_until"`
}

func (h *Handler) patchKey(c *call) error {
	key, err := c.changeableKey(c.parameters[0])
	if err != nil {
		return err
	}
	f, err := readFields(c.writer, c.request)
	if err != nil {
		return err
	}
	version := c.versionRead(f)
	patch := keyForm{f, h}.patch(&key, h.now())
	if err := f.err(); err != nil {
		return err
	}
	key, err = h.ledger.UpdateKey(c.context(), key.ID, version, patch)
	if err != nil {
		return err
	}
	c.audit("key changed", key.ID)
	c.keyReply(&key)
	return nil
}

// patch reads a change: absent fields stay, null takes a bound away.
func (f keyForm) patch(key *ledger.Key, now time.Time) (patch ledger.KeyPatch) {
	if f.has("name") {
		patch.Name = new(f.keyName())
	}
	if f.has("models") {
		patch.Models = new(f.modelNames())
	}
	if f.has("scopes") {
		patch.Scopes = new(f.scopeNames())
	}
	if f.has("cidrs") {
		patch.CIDRs = new(f.networks())
	}
	if f.has("metadata") {
		patch.Metadata = new(f.metadata())
	}
	if f.has("limits") || f.has("model_limits") {
		whole, models := rowsOf(key)
		patch.Limits = new(f.limitRows(whole, ledger.Limits{TokenType: "total"}, models))
	}
	if f.word("effective", "now", "now", "next_window") == "next_window" {
		patch.Effective = ledger.EffectiveNextWindow
	}
	if f.has("budget") {
		amount, present := f.amount("budget")
		patch.Budget = &ledger.Budget{Amount: amount, Unlimited: !present}
	}
	if f.has("expires_at") {
		moment, _ := f.moment("expires_at", now, time.RFC3339)
		patch.ExpiresAt = &moment
	}
	f.done()
	return patch
}

// rowsOf separates the row of the whole key from those of its models.
func rowsOf(key *ledger.Key) (whole ledger.Limits, models []ledger.Limits) {
	whole = ledger.Limits{TokenType: "total"}
	for _, row := range key.Limits {
		if row.Model == "" {
			whole = row
		} else {
			models = append(models, row)
		}
	}
	return whole, models
}

func (h *Handler) rotateKey(c *call) error {
	if _, err := c.changeableKey(c.parameters[0]); err != nil {
		return err
	}
	f, err := readOptionalFields(c.writer, c.request)
	if err != nil {
		return err
	}
	overlap := usualOverlap
	if seconds, present := f.integer("overlap_seconds", 0, int64(ledger.MaxOverlap/time.Second)); present {
		overlap = time.Duration(seconds) * time.Second
	}
	f.done()
	if err := f.err(); err != nil {
		return err
	}
	until := h.now().Add(overlap)
	key, secret, err := h.ledger.RotateKey(c.context(), c.parameters[0], overlap)
	if err != nil {
		return err
	}
	c.audit("key rotated", key.ID)
	c.json(http.StatusOK, rotatedView{secretView{h.viewKey(&key), secret.Reveal()}, formatMoment(until)})
	return nil
}

// lookupKey tells whose key a text is, whether or not it still works. The text
// comes in the body, because paths and queries end up in logs.
func (h *Handler) lookupKey(c *call) error {
	f, err := readFields(c.writer, c.request)
	if err != nil {
		return err
	}
	text := f.text("key", maxValue)
	if text == "" {
		f.refuse("key", "required: the text of a key")
	}
	f.done()
	if err := f.err(); err != nil {
		return err
	}
	key, ok := h.ledger.KeyByText(text)
	if !ok || !c.manages(key.Owner) {
		return &problem{status: http.StatusNotFound, code: "key_not_found", message: "no key has this text"}
	}
	c.keyReply(&key)
	return nil
}

// me shows the caller's own key.
func (h *Handler) me(c *call) error {
	c.keyReply(&c.caller)
	return nil
}
