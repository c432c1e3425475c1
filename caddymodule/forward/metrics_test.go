package forward

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockhq/penstock/caddymodule/internal/inflight"
)

func TestMetricsTellTheCallsInFlight(t *testing.T) {
	registry := prometheus.NewRegistry()
	for range 2 { // two handlers of one configuration
		if err := register(registry); err != nil {
			t.Fatal(err)
		}
	}
	inflight.Of("metrics:1").Add(3)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "penstock_upstream_requests_in_flight" {
		t.Fatalf("got %v, %v", families, err)
	}
	for _, metric := range families[0].Metric {
		if metric.Label[0].GetValue() == "metrics:1" && metric.Gauge.GetValue() == 3 {
			return
		}
	}
	t.Errorf("got %v", families[0])
}
