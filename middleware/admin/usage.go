package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// maxUsageRows bounds a reply.
const maxUsageRows = 10_000

// usageRow is what was used, summed over whatever is not named in it.
type usageRow struct {
	Owner        string       `json:"owner,omitempty"`
	KeyID        string       `json:"key_id,omitempty"`
	Model        string       `json:"model,omitempty"`
	Day          string       `json:"day,omitempty"`
	Requests     int64        `json:"requests"`
	InputTokens  int64        `json:"input_tokens"`
	CachedTokens int64        `json:"cached_tokens"`
	OutputTokens int64        `json:"output_tokens"`
	DurationUS   int64        `json:"duration_us"`
	Charged      string       `json:"charged"`
	ChargedMicro ledger.Micro `json:"charged_micro"`
	// What the price was above the charge, because credit did not cover it.
	WrittenOff      string       `json:"written_off"`
	WrittenOffMicro ledger.Micro `json:"written_off_micro"`
}

// usagePage is a reply. Truncated says that there are more rows than asked for;
// the total counts them too.
type usagePage struct {
	Usage     []usageRow `json:"usage"`
	Total     usageRow   `json:"total"`
	Truncated bool       `json:"truncated,omitempty"`
}

// add sums up. Rows stay below 2^63: they come from sums of one ledger.
func (r *usageRow) add(row *ledger.UsageRow) {
	r.Requests += row.Requests
	r.InputTokens += row.InputTokens
	r.CachedTokens += row.CachedTokens
	r.OutputTokens += row.OutputTokens
	r.DurationUS += row.Duration.Microseconds()
	r.ChargedMicro += row.Charged
	r.WrittenOffMicro += row.WriteOff
	r.Charged, r.WrittenOff = r.ChargedMicro.String(), r.WrittenOffMicro.String()
}

// usageGroup names what a row is about.
type usageGroup struct{ owner, key, model, day string }

// usage answers for all keys that the caller manages, grouped as by says.
func (h *Handler) usage(c *rest.Call) error {
	q, err := c.Query()
	if err != nil {
		return err
	}
	query := ledger.UsageQuery{KeyID: q.Text("key"), Owner: q.Text("owner")}
	by := strings.Split(cmp.Or(q.Text("by"), "key,model,day"), ",")
	for _, part := range by {
		if !slices.Contains([]string{"owner", "key", "model", "day"}, part) {
			q.Refuse("by", "%s is not one of owner, key, model, day", rest.Shown(part))
		}
	}
	if query.Owner, err = h.managedOwner(c, query.Owner); err != nil {
		return err
	}
	return h.usageReply(c, q, query, by)
}

func (h *Handler) keyUsage(c *rest.Call) error {
	key, err := h.managedKey(c, c.Parameters[0])
	if err != nil {
		return err
	}
	return h.usageOf(c, key.ID)
}

func (h *Handler) myUsage(c *rest.Call) error { return h.usageOf(c, c.Caller.ID) }

func (h *Handler) usageOf(c *rest.Call, keyID string) error {
	q, err := c.Query()
	if err != nil {
		return err
	}
	return h.usageReply(c, q, ledger.UsageQuery{KeyID: keyID}, []string{"model", "day"})
}

// usageReply reads the rest of the query and answers it.
func (h *Handler) usageReply(c *rest.Call, q *rest.Query, query ledger.UsageQuery, by []string) error {
	query.Model, query.From, query.To = q.Text("model"), q.Day("from"), q.Day("to")
	limit := int(q.Integer("limit", 1000, 1, maxUsageRows))
	if !query.From.IsZero() && !query.To.IsZero() && query.To.Before(query.From) {
		q.Refuse("to", "is before from")
	}
	if err := q.Done(); err != nil {
		return err
	}
	rows, err := h.ledger.Usage(c.Context(), query)
	if err != nil {
		return err
	}
	page := groupUsage(rows, by)
	if len(page.Usage) > limit {
		page.Usage, page.Truncated = page.Usage[:limit], true
	}
	c.JSON(http.StatusOK, page)
	return nil
}

// groupUsage sums rows up that agree in what by names, in the order in which
// they first come.
func groupUsage(rows []ledger.UsageRow, by []string) usagePage {
	page := usagePage{Usage: []usageRow{}}
	page.Total.Charged, page.Total.WrittenOff = page.Total.ChargedMicro.String(), page.Total.WrittenOffMicro.String()
	index := make(map[usageGroup]int)
	for i := range rows {
		row := &rows[i]
		var group usageGroup
		for _, part := range by {
			switch part {
			case "owner":
				group.owner = row.Owner
			case "key":
				group.key = row.KeyID
			case "model":
				group.model = row.Model
			case "day":
				group.day = row.Day.Format(time.DateOnly)
			}
		}
		at, known := index[group]
		if !known {
			at = len(page.Usage)
			index[group] = at
			page.Usage = append(page.Usage, usageRow{Owner: group.owner, KeyID: group.key, Model: group.model, Day: group.day})
		}
		page.Usage[at].add(row)
		page.Total.add(row)
	}
	return page
}
