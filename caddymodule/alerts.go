package caddymodule

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/middleware/admin"
)

// Alerts tells when somebody hears of a key or an account that comes near its
// end: of requests or tokens per day, of a key's budget, of an account's balance.
// Each crossing of a threshold is told once, in the log, in the metric
// `penstock_alerts_total`, as the event `penstock_alert` of Caddy's app `events`,
// and to the webhook if there is one.
type Alerts struct {
	// The shares of a limit, in percent, at which an alert is told.
	// Default: 80 and 100.
	Thresholds []int `json:"thresholds_percent,omitempty"`

	// An http or https URL that each alert is posted to as JSON, signed as the
	// Standard Webhooks specification says. Placeholders are replaced.
	// Default: none.
	Webhook string `json:"webhook,omitempty"`

	// The secret that signs the webhook's requests. Use a placeholder such as
	// `{env.PENSTOCK_WEBHOOK_SECRET}` or `{file./run/secrets/webhook}`: a text
	// would stand in the configuration for everybody who can read it.
	// Default: none; it is required with a webhook.
	WebhookSecret string `json:"webhook_secret,omitempty"`
}

// eventAlert is the name of the event in Caddy's app events.
const eventAlert = "penstock_alert"

// alertsFile keeps what was told, in the ledger's folder.
const alertsFile = "alerts.json"

func (a *Alerts) validate() error {
	for _, percent := range a.Thresholds {
		if percent < 1 || percent > alerts.MaxThreshold {
			return fmt.Errorf("thresholds: %d is not from 1 to %d percent", percent, alerts.MaxThreshold)
		}
	}
	if (a.Webhook == "") != (a.WebhookSecret == "") {
		return errors.New("webhook: it needs a URL and a secret")
	}
	return nil
}

// watch starts the monitor, which lives as long as the ledger so that a reload
// tells nothing twice.
func (e *engine) watch(log *slog.Logger) (*alerts.Monitor, error) {
	return alerts.New(admin.NewLevels(e.ledger, e.limiter, nil), alerts.WithLogger(log),
		alerts.WithStateFile(filepath.Join(e.store.Folder(), alertsFile)))
}

// notifier is where the alerts of one configuration go.
type notifier struct {
	ctx        caddy.Context
	events     *caddyevents.App
	thresholds []int
	url        string
	secret     string
	log        *slog.Logger
	webhook    *alerts.Webhook // nil until in use
}

func newNotifier(ctx caddy.Context, app *App) (*notifier, error) {
	events, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	n := &notifier{ctx: ctx, events: events.(*caddyevents.App), log: app.log, thresholds: alerts.DefaultThresholds()}
	if app.Alerts == nil {
		return n, nil
	}
	if len(app.Alerts.Thresholds) > 0 {
		n.thresholds = slices.Clone(app.Alerts.Thresholds)
	}
	for _, part := range []struct{ from, to *string }{{&app.Alerts.Webhook, &n.url}, {&app.Alerts.WebhookSecret, &n.secret}} {
		if *part.to, err = caddy.NewReplacer().ReplaceOrErr(*part.from, true, true); err != nil {
			return nil, err
		}
	}
	if n.url != "" && !isWebURL(n.url) {
		return nil, errWebhookURL
	}
	return n, nil
}

// errWebhookURL does not repeat the URL, which may hold a secret.
var errWebhookURL = errors.New("webhook: not an http or https URL")

func isWebURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Host != "" && (parsed.Scheme == "http" || parsed.Scheme == "https")
}

// use makes the monitor tell its alerts here.
func (n *notifier) use(e *engine) (err error) {
	sinks := []alerts.Sink{alerts.SinkFunc(n.emit), alerts.SinkFunc(func(alert alerts.Alert) {
		e.metrics.alerts.WithLabelValues(string(alert.Type), strconv.Itoa(alert.Threshold)).Inc()
	})}
	if n.url != "" && n.webhook == nil {
		if n.webhook, err = alerts.NewWebhook(n.url, []byte(n.secret), alerts.WithWebhookLogger(n.log)); err != nil {
			return err
		}
	}
	if n.webhook != nil {
		sinks = append(sinks, n.webhook)
	}
	return e.alerts.Configure(n.thresholds, sinks...)
}

// emit makes an alert an event of Caddy.
func (n *notifier) emit(alert alerts.Alert) {
	if !n.events.ShouldEmit(eventAlert) {
		return
	}
	n.events.Emit(n.ctx, eventAlert, map[string]any{
		"id": alert.ID, "kind": string(alert.Type), "threshold_percent": alert.Threshold, "account": alert.Account,
		"key_id": alert.KeyID, "model": alert.Model, "used": alert.Used, "limit": alert.Limit,
	})
}

// close ends the webhook. What it still has to deliver must not hold a reload up;
// when the process exits it is waited for.
func (n *notifier) close() {
	switch {
	case n.webhook == nil:
	case caddy.Exiting():
		n.webhook.Close()
	default:
		go n.webhook.Close()
	}
}

// unmarshalAlerts reads the block alerts.
func (a *App) unmarshalAlerts(d *caddyfile.Dispenser) error {
	if a.Alerts != nil {
		return d.Err("alerts is already specified")
	}
	a.Alerts = new(Alerts)
	if d.NextArg() {
		return d.Errf("alerts: unexpected argument %q; it takes a block", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch d.Val() {
		case "thresholds":
			for d.NextArg() {
				var percent int64
				if err := wholeNumber(d, "thresholds", 1, &percent); err != nil {
					return err
				}
				a.Alerts.Thresholds = append(a.Alerts.Thresholds, int(percent))
			}
			if len(a.Alerts.Thresholds) == 0 {
				return d.ArgErr()
			}
		case "webhook":
			if a.Alerts.Webhook != "" {
				return d.Err("webhook is already specified")
			}
			if !d.AllArgs(&a.Alerts.Webhook, &a.Alerts.WebhookSecret) {
				return d.Errf("webhook: expected a URL and a secret, for example: webhook https://example.com/alerts {env.PENSTOCK_WEBHOOK_SECRET}")
			}
			if !strings.Contains(a.Alerts.Webhook, "{") && !isWebURL(a.Alerts.Webhook) {
				return d.WrapErr(errWebhookURL)
			}
		default:
			return unknown(d, "option of alerts", []string{"thresholds", "webhook"})
		}
	}
	if err := a.Alerts.validate(); err != nil {
		return d.Errf("alerts: %w", err)
	}
	return nil
}
