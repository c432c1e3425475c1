package caddymodule

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
)

// Alerts says when to warn that a key or an account comes near a limit: requests
// or tokens per day, a key's budget, an account's balance. Each threshold that is
// crossed is reported once: in the log, in the metric `penstock_alerts_total`, as
// the event `penstock_alert` of Caddy's app `events`, and to the webhook if there
// is one.
type Alerts struct {
	// The shares of a limit, in percent, at which an alert is sent.
	// Default: 80 and 100.
	Thresholds []int `json:"thresholds_percent,omitempty"`

	// An http or https URL that each alert is posted to as JSON, signed as the
	// Standard Webhooks specification says. Placeholders are replaced.
	// Default: none.
	Webhook string `json:"webhook,omitempty"`

	// The secret that signs the webhook's requests. Use a placeholder such as
	// `{env.PENSTOCK_WEBHOOK_SECRET}` or `{file./run/secrets/webhook}`: a literal
	// secret can be read by everybody who can read the configuration.
	// Default: none; it is required with a webhook.
	WebhookSecret string `json:"webhook_secret,omitempty"`
}

// validate checks the values.
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

// notifier returns where the alerts go. Without configuration, a is nil.
func (a *Alerts) notifier(ctx caddy.Context, log *slog.Logger) (*runtime.Notifier, error) {
	thresholds := alerts.DefaultThresholds()
	if a == nil {
		return runtime.NewNotifier(ctx, log, thresholds, "", "")
	}
	if len(a.Thresholds) > 0 {
		thresholds = slices.Clone(a.Thresholds)
	}
	address, err := caddy.NewReplacer().ReplaceOrErr(a.Webhook, true, true)
	if err != nil {
		return nil, err
	}
	secret, err := caddy.NewReplacer().ReplaceOrErr(a.WebhookSecret, true, true)
	if err != nil {
		return nil, err
	}
	if address != "" && !isWebURL(address) {
		return nil, errWebhookURL
	}
	return runtime.NewNotifier(ctx, log, thresholds, address, secret)
}

// errWebhookURL does not repeat the URL, which may hold a secret.
var errWebhookURL = errors.New("webhook: not an http or https URL")

func isWebURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Host != "" && (parsed.Scheme == "http" || parsed.Scheme == "https")
}
