package admin

import (
	"net/http"

	"github.com/penstockhq/penstock/alerts"
)

// Alerts lists what was told; *alerts.Monitor has it.
type Alerts interface {
	Recent(limit int) []alerts.Alert
	Thresholds() []int
}

// WithAlerts serves the last alerts at /admin/v1/alerts.
func WithAlerts(list Alerts) Option {
	return func(s *settings) { s.alerts = list }
}

// listAlerts shows the last alerts about what the caller manages, newest first.
func (h *Handler) listAlerts(c *call) error {
	q, err := readQuery(c)
	if err != nil {
		return err
	}
	limit := int(q.integer("limit", 100, 1, maxPage))
	owner := q.text("owner")
	if err := q.done(); err != nil {
		return err
	}
	if owner, err = c.ownerScope(owner); err != nil {
		return err
	}
	list := make([]alerts.Alert, 0, limit)
	for _, alert := range h.alerts.Recent(maxPage) {
		if len(list) < limit && (owner == "" || alert.Account == owner) {
			list = append(list, alert)
		}
	}
	c.json(http.StatusOK, alertPage{h.alerts.Thresholds(), list})
	return nil
}
