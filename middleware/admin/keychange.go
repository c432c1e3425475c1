package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// usualOverlap is how long the old text of a rotated key still works, unless
// the call says otherwise: a day to roll the new one out.
const usualOverlap = 24 * time.Hour

// rotatedView is the reply to a rotation. PreviousValidUntil is for how long the text
// that was replaced still works, null if an earlier request replaced it.
type rotatedView struct {
	secretView
	PreviousValidUntil *string `json:"previous_valid_until"`
}

func (h *Handler) patchKey(c *rest.Call) error {
	key, err := h.changeableKey(c, c.Parameters[0])
	if err != nil {
		return err
	}
	f, err := c.Fields()
	if err != nil {
		return err
	}
	version := versionRead(c, f)
	patch := keyForm{f, &h.rules}.patch(&key, h.now())
	if err := f.Err(); err != nil {
		return err
	}
	key, err = h.ledger.UpdateKey(c.Context(), key.ID, version, patch)
	if err != nil {
		return err
	}
	c.Audit("key changed", key.ID)
	h.keyReply(c, &key)
	return nil
}

// patch reads a change: absent fields stay as they are, null removes what was set.
func (f keyForm) patch(key *ledger.Key, now time.Time) (patch ledger.KeyPatch) {
	if f.Has("name") {
		patch.Name = new(f.keyName())
	}
	if f.Has("models") {
		patch.Models = new(f.modelNames())
	}
	if f.Has("permissions") {
		patch.Permissions = new(f.permissionNames())
	}
	if f.Has("cidrs") {
		patch.CIDRs = new(f.networks())
	}
	if f.Has("metadata") {
		patch.Metadata = new(f.TextMap("metadata", maxValue))
	}
	if f.Has("limits") || f.Has("model_limits") {
		whole, models := rules.Split(key.Limits)
		patch.Limits = new(f.limitRows(whole, limits.Row{}, models))
	}
	if f.Word("effective", "now", "now", "next_window") == "next_window" {
		patch.Effective = ledger.EffectiveNextWindow
	}
	if f.Has("budget") {
		amount, present := f.Amount("budget")
		patch.Budget = &ledger.Budget{Amount: amount, Unlimited: !present}
	}
	if f.Has("paused") {
		patch.Paused = new(f.Flag("paused"))
	}
	if f.Has("expires_at") {
		moment, _ := f.Moment("expires_at", now, time.RFC3339)
		patch.ExpiresAt = &moment
	}
	f.Done()
	return patch
}

func (h *Handler) rotateKey(c *rest.Call) error {
	if _, err := h.changeableKey(c, c.Parameters[0]); err != nil {
		return err
	}
	f, err := c.OptionalFields()
	if err != nil {
		return err
	}
	rotation := ledger.Rotation{Overlap: usualOverlap, EndPrevious: f.Flag("end_previous"), Idempotency: c.Idempotency()}
	if seconds, present := f.Integer("overlap_seconds", 0, int64(ledger.MaxOverlap/time.Second)); present {
		rotation.Overlap = time.Duration(seconds) * time.Second
	}
	f.Done()
	if err := f.Err(); err != nil {
		return err
	}
	key, secret, err := h.ledger.RotateKey(c.Context(), c.Parameters[0], rotation)
	if err != nil {
		return err
	}
	view := rotatedView{secretView: h.viewSecret(&key, secret)}
	if !view.Replayed {
		c.Audit("key rotated", key.ID)
		view.PreviousValidUntil = rest.FormatMoment(h.now().Add(rotation.Overlap))
	}
	c.JSON(http.StatusOK, view)
	return nil
}

// lookupKey finds the key that a text belongs to, whether or not it still works. The
// text is in the body, because paths and queries end up in logs.
func (h *Handler) lookupKey(c *rest.Call) error {
	f, err := c.Fields()
	if err != nil {
		return err
	}
	text := f.Text("key", maxValue)
	if text == "" {
		f.Refuse("key", "required: the text of a key")
	}
	f.Done()
	if err := f.Err(); err != nil {
		return err
	}
	key, ok := h.ledger.KeyByText(text)
	if !ok || !c.Manages(key.Owner) {
		return &rest.Problem{Status: http.StatusNotFound, Code: "key_not_found", Message: "no key has this text"}
	}
	h.keyReply(c, &key)
	return nil
}

// me shows the caller's own key.
func (h *Handler) me(c *rest.Call) error {
	h.keyReply(c, &c.Caller)
	return nil
}

// versionTag writes a key's version as an entity tag.
func versionTag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// versionRead returns the version that the caller read, from the body or from
// If-Match, 0 if it gives none. A caller that gives it is told if the key was changed
// since; for one that does not, the last change wins.
func versionRead(c *rest.Call, f *rest.Fields) int64 {
	version, inBody := f.Integer("version", 1, schema.MaxInteger)
	tag := c.Request.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return version
	}
	tagged, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
	if err != nil || tagged < 1 || inBody && tagged != version {
		f.Refuse("If-Match", "%s is not the version of the key as it was read", rest.Shown(tag))
	}
	return tagged
}
