package forward

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockhq/penstock/caddymodule/internal/inflight"
)

// inFlightMetric is how many calls run at each upstream. Caddy's own figures, at
// /reverse_proxy/upstreams of its administration, are of calls that reverse_proxy forwards.
var inFlightMetric = prometheus.NewDesc("penstock_upstream_requests_in_flight",
	"Calls that run at an upstream, without those that reverse_proxy forwards.", []string{"upstream"}, nil)

// inFlightCollector is a prometheus.Collector of the calls in flight.
type inFlightCollector struct{}

// Describe implements prometheus.Collector.
func (inFlightCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- inFlightMetric
}

// Collect implements prometheus.Collector.
func (inFlightCollector) Collect(metrics chan<- prometheus.Metric) {
	for upstream, running := range inflight.All() {
		metrics <- prometheus.MustNewConstMetric(inFlightMetric, prometheus.GaugeValue, float64(running), upstream)
	}
}

// register adds the metric to the registry of a configuration, which several handlers share.
func register(registry prometheus.Registerer) error {
	var already prometheus.AlreadyRegisteredError
	if err := registry.Register(inFlightCollector{}); err != nil && !errors.As(err, &already) {
		return err
	}
	return nil
}
