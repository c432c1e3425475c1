package runtime

import (
	"context"
	"encoding/binary"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockhq/penstock/ledger"
)

// headMetrics publish the head of an engine's ledger, so that whatever scrapes them keeps
// it elsewhere. The hash is a number, its first 48 bits, which a float holds exactly: as a
// label it would make a new series with every scrape.
type headMetrics struct {
	sequence, fingerprint *prometheus.Desc

	ledger atomic.Pointer[ledger.Ledger] // nil until it is open
}

func newHeadMetrics() *headMetrics {
	return &headMetrics{
		sequence: prometheus.NewDesc("penstock_ledger_head_sequence",
			"Number of the ledger's last entry.", nil, nil),
		fingerprint: prometheus.NewDesc("penstock_ledger_head_fingerprint",
			"First 48 bits of the hash that stands for all entries up to the last one.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *headMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- m.sequence
	descriptions <- m.fingerprint
}

// Collect implements prometheus.Collector. Both numbers are of one head.
func (m *headMetrics) Collect(metrics chan<- prometheus.Metric) {
	opened := m.ledger.Load()
	if opened == nil {
		return
	}
	head, err := opened.Head(context.Background())
	if err != nil {
		return // other metrics say that the ledger fails
	}
	const unused = 16 // bits
	fingerprint := binary.BigEndian.Uint64(head.Hash[:8]) >> unused
	metrics <- prometheus.MustNewConstMetric(m.sequence, prometheus.GaugeValue, float64(head.Sequence))
	metrics <- prometheus.MustNewConstMetric(m.fingerprint, prometheus.GaugeValue, float64(fingerprint))
}

// Interface guards
var _ prometheus.Collector = (*headMetrics)(nil)
