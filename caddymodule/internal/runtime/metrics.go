package runtime

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// Metrics are an engine's Prometheus metrics. They live as long as the engine, so
// that a reload, which brings a new registry, does not set them back to zero. No
// label ever contains a key, an account or anything else that a caller chooses.
type Metrics struct {
	requests  *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	tokens    *prometheus.CounterVec
	credits   *prometheus.CounterVec
	writeOffs *prometheus.CounterVec
	cuts      *prometheus.CounterVec
	alerts    *prometheus.CounterVec
	firstByte *prometheus.HistogramVec
	duration  *prometheus.HistogramVec
	head      *headMetrics
	shared    *sharedMetrics
}

// latencies are the upper bounds of histograms in seconds: from a cached short
// answer to a long generation.
var latencies = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 60, 120, 300}

func newMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "penstock", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		options := prometheus.HistogramOpts{Namespace: "penstock", Name: name, Help: help, Buckets: latencies}
		return prometheus.NewHistogramVec(options, labels)
	}
	return &Metrics{
		requests: counter("requests_total",
			"Calls that ran, by how they ended and the status sent.", "operation", "model", "outcome", "status"),
		refusals: counter("refusals_total",
			"Calls that were refused, by error code and the limit that refused them.", "operation", "model", "reason", "rule"),
		tokens: counter("tokens_total",
			"Tokens of calls that ran; cached ones count as input too.", "model", "direction"),
		credits: counter("credits_charged_total",
			"Credits charged.", "model"),
		writeOffs: counter("credits_written_off_total",
			"Credits that were owed but covered by neither hold, balance nor budget.", "model"),
		cuts: counter("usage_cut_tokens_total",
			"Tokens that upstreams which are not trusted reported beyond what their calls can have used; not charged.",
			"model", "direction"),
		alerts: counter("alerts_total",
			"Thresholds that a key or an account crossed, and budgets and balances that refuse calls.", "kind", "threshold_percent"),
		firstByte: histogram("time_to_first_byte_seconds",
			"From dispatch to the upstream's first byte.", "model"),
		duration: histogram("request_duration_seconds",
			"From the arrival of a call that ran to its end.", "model", "stream"),
		head: newHeadMetrics(), shared: newSharedMetrics(),
	}
}

// Register adds the metrics to the registry of a configuration. Registering them
// twice is fine.
func (m *Metrics) Register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{
		m.requests, m.refusals, m.tokens, m.credits, m.writeOffs, m.cuts, m.alerts, m.firstByte, m.duration, m.head, m.shared,
	} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(collector); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// observer counts the calls of one configuration. Where every model name passes,
// callers would choose the labels: only models that are named get their own.
type observer struct {
	metrics *Metrics
	models  map[string]*modelMetrics // the one of "" is for all others
	alerts  *alerts.Monitor
}

// modelMetrics are a model's own metrics, looked up once and not for each call.
type modelMetrics struct {
	name                  string
	input, cached, output prometheus.Counter
	credits, writeOffs    prometheus.Counter
	cutInput, cutOutput   prometheus.Counter
	firstByte             prometheus.Observer
	duration              map[bool]prometheus.Observer // by stream
}

// Observer returns what counts the calls of a configuration with these models.
func (e *Engine) Observer(models ...string) middleware.Observer {
	m := e.Metrics
	o := &observer{metrics: m, models: make(map[string]*modelMetrics), alerts: e.Alerts}
	for _, name := range append(models, "") {
		o.models[name] = &modelMetrics{
			name:  name,
			input: m.tokens.WithLabelValues(name, "input"), cached: m.tokens.WithLabelValues(name, "cached"),
			output:  m.tokens.WithLabelValues(name, "output"),
			credits: m.credits.WithLabelValues(name), writeOffs: m.writeOffs.WithLabelValues(name),
			cutInput:  m.cuts.WithLabelValues(name, "input"),
			cutOutput: m.cuts.WithLabelValues(name, "output"),
			firstByte: m.firstByte.WithLabelValues(name),
			duration: map[bool]prometheus.Observer{
				true: m.duration.WithLabelValues(name, "true"), false: m.duration.WithLabelValues(name, "false"),
			},
		}
	}
	return o
}

// Observe implements middleware.Observer.
func (o *observer) Observe(report middleware.Report) {
	model := o.models[report.Model]
	if model == nil {
		model = o.models[""]
	}
	if report.Refused {
		o.metrics.refusals.WithLabelValues(report.Operation, model.name, report.Reason, report.Rule).Inc()
		if credit := alerts.Type(report.Rule); report.Status == http.StatusPaymentRequired && (credit == alerts.Budget || credit == alerts.Balance) {
			o.alerts.ObserveRefusal(report.KeyID, report.Model, credit, report.Needed)
		}
		return
	}
	o.alerts.Observe(report.KeyID, report.Model)
	status := strconv.Itoa(report.Status)
	o.metrics.requests.WithLabelValues(report.Operation, model.name, report.Outcome.String(), status).Inc()
	model.input.Add(float64(report.InputTokens))
	model.cached.Add(float64(report.CachedTokens))
	model.output.Add(float64(report.OutputTokens))
	model.cutInput.Add(float64(report.CutInputTokens))
	model.cutOutput.Add(float64(report.CutOutputTokens))
	model.credits.Add(credits(report.Charge.Amount))
	model.writeOffs.Add(credits(report.Charge.WriteOff))
	if report.FirstByte > 0 {
		model.firstByte.Observe(report.FirstByte.Seconds())
	}
	model.duration[report.Stream].Observe(report.Total.Seconds())
}

// credits is an amount for a graph; accounts are never kept in floats.
func credits(amount ledger.Micro) float64 { return float64(amount) / float64(ledger.Credit) }

// Interface guards
var _ middleware.Observer = (*observer)(nil)
