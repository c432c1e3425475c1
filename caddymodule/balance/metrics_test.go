package balance

import (
	"maps"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/prometheus/client_golang/prometheus"
)

func TestMetricsShowWhatIsUnderWayAtEachUpstream(t *testing.T) {
	state := NewState()
	policies := []*Policy{{state: state}, {state: state}}
	for _, p := range policies {
		p.coolings.first, p.coolings.longest = p.coolDowns()
		if err := p.bind(&reverseproxy.Handler{Upstreams: reverseproxy.UpstreamPool{{Dial: "a:1"}, {Dial: "b:1"}}}); err != nil {
			t.Fatal(err)
		}
	}
	_, lease := must(t, policies[0].choice.balancer, Call{Tokens: 500}, fixedPool{down: map[int]bool{0: true}})
	policies[0].coolings.find("a:1").Failed()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(func() []*Policy { return policies }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			got[family.GetName()+" "+metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"penstock_upstream_failing a:1": 1, "penstock_upstream_failing b:1": 0,
		"penstock_upstream_in_flight a:1": 0, "penstock_upstream_in_flight b:1": 1,
		"penstock_upstream_prompt_tokens a:1": 0, "penstock_upstream_prompt_tokens b:1": 500,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	lease.Release(0)
	for _, load := range policies[1].Loads() {
		if load.InFlight != 0 || load.PromptTokens != 0 {
			t.Errorf("after the call: %+v", load)
		}
	}
}
