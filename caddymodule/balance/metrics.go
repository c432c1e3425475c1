package balance

import "github.com/prometheus/client_golang/prometheus"

// Load is what a gateway has under way at one upstream.
type Load struct {
	Address string
	// InFlight is the calls of this gateway that run there.
	InFlight int64
	// PromptTokens is the tokens of their prompts that are neither answered nor cached, as
	// far as the gateway knows.
	PromptTokens int64
	// Failing says that it failed, and has not answered since.
	Failing bool
}

// Loads returns what is under way at the upstreams that the proxy lists.
func (p *Policy) Loads() []Load {
	if p.choice == nil {
		return nil // the configuration was refused
	}
	loads := make([]Load, len(p.addresses))
	for i, address := range p.addresses {
		load := p.choice.balancer.loads[i]
		loads[i] = Load{address, load.calls.Load(), load.prefill.Load(), p.choice.cooling[i].Failing()}
	}
	return loads
}

// collector shows the loads of policies to Prometheus.
type collector struct {
	policies                   func() []*Policy
	inFlight, prompts, failing *prometheus.Desc
}

// NewCollector returns the metrics of all policies of a configuration. An upstream that several
// of them list counts once: what is under way there is known to all.
func NewCollector(policies func() []*Policy) prometheus.Collector {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("penstock_upstream_"+name, help, []string{"upstream"}, nil)
	}
	return &collector{
		policies: policies,
		inFlight: describe("in_flight", "Calls that run at the upstream."),
		prompts:  describe("prompt_tokens", "Tokens of prompts that wait at the upstream and are not cached, as far as the gateway knows."),
		failing:  describe("failing", "1 if the upstream failed and has not answered since, else 0."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.inFlight
	descriptions <- c.prompts
	descriptions <- c.failing
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	seen := map[string]bool{}
	for _, policy := range c.policies() {
		for _, load := range policy.Loads() {
			if seen[load.Address] {
				continue
			}
			seen[load.Address] = true
			gauge := func(description *prometheus.Desc, value float64) {
				metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, load.Address)
			}
			failing := 0.
			if load.Failing {
				failing = 1
			}
			gauge(c.inFlight, float64(load.InFlight))
			gauge(c.prompts, float64(load.PromptTokens))
			gauge(c.failing, failing)
		}
	}
}
