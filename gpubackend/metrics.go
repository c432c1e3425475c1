package gpubackend

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// metrics exposes one server. Each has a registry of its own, so that several
// servers live in one process.
type metrics struct {
	server     *Server
	handler    http.Handler
	firstToken prometheus.Histogram
	queued     prometheus.Histogram
	inference  prometheus.Histogram
	total      prometheus.Histogram
	vllmFirst  prometheus.Histogram // nil without vLLM's names
}

// gauge is a number that is read from the scheduler's status at each scrape.
type gauge struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(*engine.Status) float64
}

var secondsBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 60, 120}

func newMetrics(s *Server) *metrics {
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: secondsBuckets})
	}
	m := &metrics{
		server:     s,
		firstToken: histogram("gpubackend_time_to_first_token_seconds", "From the request's arrival to its first token."),
		queued:     histogram("gpubackend_queue_seconds", "How long requests waited for a slot."),
		inference:  histogram("gpubackend_inference_seconds", "Each request's share of the engine's busy time."),
		total:      histogram("gpubackend_request_seconds", "From the request's arrival to the end of its reply."),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.firstToken, m.queued, m.inference, m.total, collector{s, ownGauges(s)})
	if s.config.vllmMetrics {
		m.vllmFirst = prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "vllm:time_to_first_token_seconds", Help: "As gpubackend_time_to_first_token_seconds.",
			ConstLabels: prometheus.Labels{"model_name": s.name()}, Buckets: secondsBuckets,
		})
		registry.MustRegister(m.vllmFirst, collector{s, vllmGauges(s)})
	}
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}

// observe records a generation that has ended.
func (m *metrics) observe(g *generation) {
	m.queued.Observe(g.queued().Seconds())
	m.inference.Observe(g.inference().Seconds())
	m.total.Observe(time.Since(g.created).Seconds())
	if first := g.streams[0].Usage().FirstToken; first > 0 {
		m.firstToken.Observe(first.Seconds())
		if m.vllmFirst != nil {
			m.vllmFirst.Observe(first.Seconds())
		}
	}
}

// collector reads all its numbers from one status, so that they are consistent.
type collector struct {
	server *Server
	gauges []gauge
}

func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, one := range c.gauges {
		out <- one.description
	}
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	status := c.server.scheduler.Status()
	for _, one := range c.gauges {
		out <- prometheus.MustNewConstMetric(one.description, one.kind, one.value(&status))
	}
}

func ownGauges(s *Server) []gauge {
	labels := prometheus.Labels{"model": s.name(), "device": s.info.Device}
	now := func(name, help string, value func(*engine.Status) float64) gauge {
		return gauge{prometheus.NewDesc("gpubackend_"+name, help, nil, labels), prometheus.GaugeValue, value}
	}
	total := func(name, help string, value func(*engine.Status) float64) gauge {
		return gauge{prometheus.NewDesc("gpubackend_"+name, help, nil, labels), prometheus.CounterValue, value}
	}
	return []gauge{
		now("slots", "Requests that can run at once.", func(t *engine.Status) float64 { return float64(t.Slots) }),
		now("requests_running", "Requests that have a slot.", func(t *engine.Status) float64 { return float64(t.Running) }),
		now("requests_waiting", "Requests in the queue.", func(t *engine.Status) float64 { return float64(t.Waiting) }),
		now("queue_depth", "Requests that may wait.", func(t *engine.Status) float64 { return float64(t.QueueDepth) }),
		now("kv_pages", "Pages of the KV cache.", func(t *engine.Status) float64 { return float64(t.Pages) }),
		now("kv_pages_in_use", "Pages that running requests hold.", func(t *engine.Status) float64 { return float64(t.PagesInUse) }),
		now("kv_pages_cached", "Idle pages that the prefix cache keeps.", func(t *engine.Status) float64 { return float64(t.PagesCached) }),
		now("draining", "1 while the server takes no new requests.", func(t *engine.Status) float64 { return oneIf(t.Draining) }),
		total("requests_finished_total", "Requests answered.", func(t *engine.Status) float64 { return float64(t.Finished) }),
		total("requests_cancelled_total", "Requests whose caller left.", func(t *engine.Status) float64 { return float64(t.Cancelled) }),
		total("requests_refused_total", "Calls refused because the queue was full.", func(t *engine.Status) float64 { return float64(t.Refused) }),
		total("requests_expired_total", "Calls that waited too long for a slot.", func(t *engine.Status) float64 { return float64(t.Expired) }),
		total("requests_failed_total", "Requests that the engine failed.", func(t *engine.Status) float64 { return float64(t.Failed) }),
		total("prompt_tokens_total", "Prompt tokens of admitted requests.", func(t *engine.Status) float64 { return float64(t.PromptTokens) }),
		total("cached_tokens_total", "Prompt tokens found in the prefix cache.", func(t *engine.Status) float64 { return float64(t.CachedTokens) }),
		total("generated_tokens_total", "Tokens generated.", func(t *engine.Status) float64 { return float64(t.GeneratedTokens) }),
		total("steps_total", "Steps of the engine.", func(t *engine.Status) float64 { return float64(t.Steps) }),
		total("step_rows_total", "Tokens computed in all steps.", func(t *engine.Status) float64 { return float64(t.Rows) }),
		total("failed_steps_total", "Steps that failed.", func(t *engine.Status) float64 { return float64(t.FailedSteps) }),
		total("busy_seconds_total", "Busy time of the engine.", func(t *engine.Status) float64 { return t.Busy.Seconds() }),
	}
}

func vllmGauges(s *Server) []gauge {
	labels := prometheus.Labels{"model_name": s.name()}
	metric := func(name string, kind prometheus.ValueType, value func(*engine.Status) float64) gauge {
		return gauge{prometheus.NewDesc("vllm:"+name, "The number that vLLM has under this name.", nil, labels), kind, value}
	}
	return []gauge{
		metric("num_requests_running", prometheus.GaugeValue, func(t *engine.Status) float64 { return float64(t.Running) }),
		metric("num_requests_waiting", prometheus.GaugeValue, func(t *engine.Status) float64 { return float64(t.Waiting) }),
		metric("kv_cache_usage_perc", prometheus.GaugeValue, func(t *engine.Status) float64 { return float64(t.PagesInUse) / float64(max(1, t.Pages)) }),
		metric("prompt_tokens_total", prometheus.CounterValue, func(t *engine.Status) float64 { return float64(t.PromptTokens) }),
		metric("generation_tokens_total", prometheus.CounterValue, func(t *engine.Status) float64 { return float64(t.GeneratedTokens) }),
		metric("prefix_cache_queries_total", prometheus.CounterValue, func(t *engine.Status) float64 { return float64(t.PromptTokens) }),
		metric("prefix_cache_hits_total", prometheus.CounterValue, func(t *engine.Status) float64 { return float64(t.CachedTokens) }),
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
