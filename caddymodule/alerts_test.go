package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

func init() {
	caddy.RegisterModule(new(eventLog))
}

// seenEvents holds what the test module events.handlers.penstock_test was told.
var seenEvents = make(chan caddy.Event, 100)

// eventLog is a handler of Caddy's events that writes them down.
type eventLog struct{}

func (*eventLog) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.penstock_test", New: func() caddy.Module { return new(eventLog) }}
}

func (*eventLog) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (*eventLog) Handle(_ context.Context, event caddy.Event) error {
	seenEvents <- event
	return nil
}

func TestACrossedThresholdIsToldOnceByWebhookEventMetricAndList(t *testing.T) {
	told := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Webhook-Signature") == "" {
			body = []byte("unsigned")
		}
		told <- string(body)
	}))
	defer hook.Close()
	t.Setenv("PENSTOCK_TEST_WEBHOOK_SECRET", "a secret")
	options := demoOptions + "\n\t\talerts {\n\t\t\tthresholds 50 100\n\t\t\twebhook " + hook.URL + " {env.PENSTOCK_TEST_WEBHOOK_SECRET}\n\t\t}"
	u := newUpstream(t, nil)
	site := "penstock_proxy " + u.address() + " {\n\t}\n\tpenstock_admin"
	g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
	g.url = "http://" + g.address
	config := func() string {
		return strings.Replace(g.config(options, site), "{\n", "{\n\tevents {\n\t\ton penstock_alert penstock_test\n\t}\n", 1)
	}
	mustLoad(t, "%s", config())
	_, secret, err := g.engine().Ledger.CreateKey(t.Context(), ledger.NewKey{Name: "m", Owner: "demo", Limits: []limits.Row{{RPD: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(threshold float64, used float64) {
		t.Helper()
		var alert map[string]any
		select {
		case body := <-told:
			if err := json.Unmarshal([]byte(body), &alert); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the webhook was not called")
		}
		if alert["kind"] != "requests_per_day" || alert["threshold_percent"] != threshold || alert["used"] != used {
			t.Errorf("the webhook got %v", alert)
		}
		select {
		case event := <-seenEvents:
			if event.Data["id"] != alert["id"] || event.Name() != "penstock_alert" {
				t.Errorf("the event is %v", event.Data)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("there was no event")
		}
	}
	ask := func() {
		t.Helper()
		if reply := call(t, "POST", g.url+"/v1/chat/completions", secret.Reveal(), chat(false)); reply.status != 200 {
			t.Fatalf("%+v", reply)
		}
	}
	ask()
	ask()
	expect(50, 2)
	ask()
	// A reload begins nothing anew.
	options += "\n\t\tbounds rpm 1 600"
	mustLoad(t, "%s", config())
	ask()
	expect(100, 4)
	reply := call(t, "GET", g.url+"/admin/v1/alerts", g.key("admin.key"), "")
	var page struct{ Alerts []struct{ Threshold int } }
	if err := json.Unmarshal([]byte(reply.body), &page); err != nil || len(page.Alerts) != 2 {
		t.Errorf("the list is %s", reply.body)
	}
	if len(told) != 0 || len(seenEvents) != 0 {
		t.Errorf("%d calls of the webhook and %d events too many", len(told), len(seenEvents))
	}
	if text := fmt.Sprint(counters(t, "penstock_alerts_total")); text != "map[requests_per_day 100:1 requests_per_day 50:1]" {
		t.Errorf("the metric says %s", text)
	}
}

// Interface guards
var _ caddyevents.Handler = (*eventLog)(nil)

// counters returns the values of a counter of the running configuration by its labels.
func counters(t *testing.T, name string) map[string]float64 {
	t.Helper()
	running := caddy.ActiveContext()
	families, err := running.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			values[strings.Join(labels, " ")] = metric.GetCounter().GetValue()
		}
	}
	return values
}
