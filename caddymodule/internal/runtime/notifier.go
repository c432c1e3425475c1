package runtime

import (
	"log/slog"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/penstockhq/penstock/alerts"
)

// eventAlert is the name of the event in Caddy's app events.
const eventAlert = "penstock_alert"

// Notifier is where the alerts of one configuration go: Caddy's events, the metrics, the webhook.
type Notifier struct {
	ctx        caddy.Context
	events     *caddyevents.App
	thresholds []int
	url        string
	secret     string
	log        *slog.Logger
	webhook    *alerts.Webhook // nil until in use
}

// NewNotifier returns the notifier of a configuration. Without a URL there is no webhook.
func NewNotifier(ctx caddy.Context, log *slog.Logger, thresholds []int, url, secret string) (*Notifier, error) {
	events, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &Notifier{
		ctx: ctx, events: events.(*caddyevents.App), log: log,
		thresholds: thresholds, url: url, secret: secret,
	}, nil
}

// use makes the engine's monitor send its alerts here.
func (n *Notifier) use(e *Engine) (err error) {
	sinks := []alerts.Sink{alerts.SinkFunc(n.emit), alerts.SinkFunc(func(alert alerts.Alert) {
		e.Metrics.alerts.WithLabelValues(string(alert.Type), strconv.Itoa(alert.Threshold)).Inc()
	})}
	if n.url != "" && n.webhook == nil {
		if n.webhook, err = alerts.NewWebhook(n.url, []byte(n.secret), alerts.WithWebhookLogger(n.log)); err != nil {
			return err
		}
	}
	if n.webhook != nil {
		sinks = append(sinks, n.webhook)
	}
	return e.Alerts.Configure(n.thresholds, sinks...)
}

// emit makes an alert an event of Caddy.
func (n *Notifier) emit(alert alerts.Alert) {
	if !n.events.ShouldEmit(eventAlert) {
		return
	}
	n.events.Emit(n.ctx, eventAlert, map[string]any{
		"id": alert.ID, "kind": string(alert.Type), "threshold_percent": alert.Threshold, "account": alert.Account,
		"key_id": alert.KeyID, "model": alert.Model, "used": alert.Used, "limit": alert.Limit,
		"of": string(alert.Of), "needed": alert.Needed,
	})
}

// Close ends the webhook. What it still has to deliver must not hold a reload up;
// when the process exits it is waited for.
func (n *Notifier) Close() {
	switch {
	case n.webhook == nil:
	case caddy.Exiting():
		n.webhook.Close()
	default:
		go n.webhook.Close()
	}
}
