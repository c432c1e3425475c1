package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalAlerts reads the block alerts of the global option.
func (a *App) unmarshalAlerts(d *caddyfile.Dispenser) error {
	if a.Alerts != nil {
		return d.Err("alerts is already specified")
	}
	a.Alerts = new(Alerts)
	if d.NextArg() {
		return d.Errf("alerts: unexpected argument %q; it takes a block", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.Alerts.unmarshalOption(d); err != nil {
			return err
		}
	}
	if err := a.Alerts.validate(); err != nil {
		return d.Errf("alerts: %w", err)
	}
	return nil
}

func (a *Alerts) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "thresholds":
		return a.unmarshalThresholds(d)
	case "webhook":
		return a.unmarshalWebhook(d)
	}
	return unknown(d, "option of alerts", []string{"thresholds", "webhook"})
}

func (a *Alerts) unmarshalThresholds(d *caddyfile.Dispenser) error {
	for d.NextArg() {
		var percent int64
		if err := wholeNumber(d, "thresholds", 1, &percent); err != nil {
			return err
		}
		a.Thresholds = append(a.Thresholds, int(percent))
	}
	if len(a.Thresholds) == 0 {
		return d.ArgErr()
	}
	return nil
}

func (a *Alerts) unmarshalWebhook(d *caddyfile.Dispenser) error {
	if a.Webhook != "" {
		return d.Err("webhook is already specified")
	}
	if !d.AllArgs(&a.Webhook, &a.WebhookSecret) {
		return d.Errf("webhook: expected a URL and a secret, for example: " +
			"webhook https://example.com/alerts {env.PENSTOCK_WEBHOOK_SECRET}")
	}
	if !strings.Contains(a.Webhook, "{") && !isWebURL(a.Webhook) {
		return d.WrapErr(errWebhookURL)
	}
	return nil
}
