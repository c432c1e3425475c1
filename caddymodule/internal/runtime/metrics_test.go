package runtime

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// labels returns the values of the labels of each series of a metric.
func labels(t *testing.T, registry *prometheus.Registry, name string) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var values []string
			for _, label := range metric.GetLabel() {
				values = append(values, label.GetName()+"="+label.GetValue())
			}
			found = append(found, strings.Join(values, " "))
		}
	}
	return found
}

func TestCallersChooseNoLabels(t *testing.T) {
	m, registry := newMetrics(), prometheus.NewRegistry()
	for range 2 { // as at a reload
		if err := m.Register(registry); err != nil {
			t.Fatal(err)
		}
	}
	observe := (&Engine{Metrics: m}).Observer("tiny").Observe
	for _, model := range []string{"tiny", "made up", "made up too"} {
		observe(middleware.Report{Operation: "chat", Model: model, Refused: true, Reason: "rate_limit_exceeded", Rule: "rpm"})
	}
	found := labels(t, registry, "penstock_refusals_total")
	want := []string{
		"model= operation=chat reason=rate_limit_exceeded rule=rpm", "model=tiny operation=chat reason=rate_limit_exceeded rule=rpm",
	}
	if len(found) != len(want) || found[0] != want[0] || found[1] != want[1] {
		t.Errorf("refusals are counted under %q, want %q", found, want)
	}
}

func TestTokensThatAreNotBelievedAreCounted(t *testing.T) {
	m, registry := newMetrics(), prometheus.NewRegistry()
	if err := m.Register(registry); err != nil {
		t.Fatal(err)
	}
	observe := (&Engine{Metrics: m, Alerts: quiet(t)}).Observer("tiny").Observe
	observe(middleware.Report{Model: "tiny", CutInputTokens: 30, CutOutputTokens: 4})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "penstock_usage_cut_tokens_total" {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	if sum != 34 {
		t.Errorf("%v tokens were counted", sum)
	}
}

// quiet is a monitor of nothing.
func quiet(t *testing.T) *alerts.Monitor {
	t.Helper()
	monitor, err := alerts.New(nothing{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(monitor.Close)
	return monitor
}

func TestACreditRefusalIsAnAlert(t *testing.T) {
	monitor, err := alerts.New(spent{})
	if err != nil {
		t.Fatal(err)
	}
	observe := (&Engine{Metrics: newMetrics(), Alerts: monitor}).Observer("tiny").Observe
	refused := middleware.Report{KeyID: "k", Model: "tiny", Refused: true, Status: 429, Reason: "credit_held", Rule: "budget", Needed: 30}
	observe(refused) // may fit once other calls end
	refused.KeyID, refused.Status, refused.Reason = "poor", 402, "insufficient_quota"
	observe(refused)
	refused.Rule = "rpm"
	observe(refused)
	monitor.Close()
	recent := monitor.Recent(10)
	if len(recent) != 1 || recent[0].Type != alerts.Exhausted || recent[0].KeyID != "poor" || recent[0].Needed != 30 || recent[0].Of != alerts.Budget {
		t.Errorf("%+v", recent)
	}
}

// spent is a source whose keys have spent most of their budgets.
type spent struct{}

func (spent) Levels(_ context.Context, keyID, _ string) ([]alerts.Level, error) {
	return []alerts.Level{{Type: alerts.Budget, Account: "a", KeyID: keyID, Used: 72, Limit: 100}}, nil
}

type nothing struct{}

func (nothing) Levels(context.Context, string, string) ([]alerts.Level, error) { return nil, nil }

func TestMetricsCountCreditsNotMicroCredits(t *testing.T) {
	if got := credits(ledger.Credit * 5 / 2); got != 2.5 {
		t.Errorf("two and a half credits are %v", got)
	}
	if last := latencies[len(latencies)-1]; time.Duration(last)*time.Second < 2*time.Minute {
		t.Errorf("the histogram ends at %v seconds, before a call's time limit", last)
	}
}
