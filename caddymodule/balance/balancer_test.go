package balance

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// servers returns upstreams a, b, c and so on, without properties.
func servers(n int) []Upstream {
	list := make([]Upstream, n)
	for i := range list {
		list[i].Address = string(rune('a'+i)) + ":1"
	}
	return list
}

func mustNew(t testing.TB, upstreams []Upstream, options Options) *Balancer {
	t.Helper()
	if options.Random == nil {
		options.Random = rand.New(rand.NewPCG(1, 2)).Uint64
	}
	b, err := New(upstreams, options)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must chooses, and returns the lease too.
func must(t testing.TB, b *Balancer, call Call, pool Pool) (int, *Lease) {
	t.Helper()
	lease := new(Lease)
	i, ok := b.Choose(&call, pool, lease)
	if !ok {
		t.Fatal("no upstream was chosen")
	}
	return i, lease
}

// chat returns a prompt of a system prompt and turns, each about so many tokens.
func chat(system string, turns ...int) []byte {
	text := fmt.Sprintf(`[{"role":"system","content":%q}`, system+strings.Repeat("sys ", 1000))
	for i, tokens := range turns {
		role := [2]string{"user", "assistant"}[i%2]
		text += fmt.Sprintf(`,{"role":%q,"content":"%s"}`, role, strings.Repeat(fmt.Sprintf("%-4d", i), tokens))
	}
	return []byte(text + "]")
}

func TestAConversationStaysWhereItsPromptIs(t *testing.T) {
	b := mustNew(t, servers(4), Options{})
	home, lease := must(t, b, Call{Prompt: chat("s", 500)}, fixedPool{})
	lease.FirstByte()
	lease.Release(0)
	for turn := 1; turn < 10; turn++ {
		turns := make([]int, 1+2*turn)
		for i := range turns {
			turns[i] = 500
		}
		i, lease := must(t, b, Call{Prompt: chat("s", turns...)}, fixedPool{inFlight: map[int]int{home: 3}})
		if i != home {
			t.Fatalf("turn %d goes to %d, the conversation is at %d", turn, i, home)
		}
		if work := lease.prefill.Load(); work > 700 { // the new turn: the answer before it is cached too
			t.Errorf("turn %d: %d tokens of work", turn, work)
		}
		lease.FirstByte()
		lease.Release(0)
	}
}

func TestWorkBeforeAPromptOutweighsItsCache(t *testing.T) {
	b := mustNew(t, servers(2), Options{})
	prompt := chat("s", 500)
	home, lease := must(t, b, Call{Prompt: prompt}, fixedPool{})
	lease.FirstByte()
	lease.Release(0)
	b.loads[home].prefill.Add(900) // less than the prompt would be elsewhere
	if i, lease := must(t, b, Call{Prompt: prompt}, fixedPool{}); i != home {
		t.Error("a prompt leaves its cache for less than it costs elsewhere")
	} else {
		lease.Release(0)
	}
	b.loads[home].prefill.Add(3000)
	if i, _ := must(t, b, Call{Prompt: prompt}, fixedPool{}); i == home {
		t.Error("a prompt waits for more work than its cache saves")
	}
}

func TestThePublishedScoreDecides(t *testing.T) {
	upstreams := servers(3)
	upstreams[1].Weight = new(2)
	for _, test := range []struct {
		prefill [3]int64
		calls   [3]int
		want    int
	}{
		// 4,000 tokens: (P + u(1+n/8))/w + 100n with w = 0.5, 1, 0.5.
		{want: 1},
		{prefill: [3]int64{0, 4001, 0}, calls: [3]int{0, 0, 9}, want: 0}, // 8000, 8001, much
		{prefill: [3]int64{0, 3999, 0}, calls: [3]int{0, 0, 9}, want: 1}, // 8000, 7999, much
		{calls: [3]int{1, 8, 0}, want: 2},                                // 9100, 8800, 8000
		{calls: [3]int{1, 6, 1}, want: 1},                                // 9100, 7600, 9100
	} {
		b := mustNew(t, upstreams, Options{})
		for i, tokens := range test.prefill {
			b.loads[i].prefill.Store(tokens)
			b.loads[i].calls.Store(int64(test.calls[i]))
		}
		// A prompt without any boundary has no owner that would be preferred.
		call := Call{Tokens: 4000}
		score := func(i int) float64 {
			return (float64(test.prefill[i])+4000*(1+float64(test.calls[i])/8))/b.speeds[i] + 100*float64(test.calls[i])
		}
		got, _ := b.lowest(b.weighted.draw(""), fixedPool{}, func(i, calls int) float64 {
			return b.prefixScore(i, calls, 4000, &call)
		})
		for i := range 3 {
			if math.Abs(b.prefixScore(i, test.calls[i], 4000, &call)-score(i)) > 1e-9 {
				t.Errorf("upstream %d has the score %v, want %v", i, b.prefixScore(i, test.calls[i], 4000, &call), score(i))
			}
		}
		if got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

func TestIdleUpstreamsShareByWeight(t *testing.T) {
	upstreams := servers(3)
	upstreams[0].Weight, upstreams[1].Weight = new(6), new(3)
	for _, strategy := range []Strategy{StrategyPrefixWork, StrategyLeastWork, StrategyWeightedRandom} {
		b := mustNew(t, upstreams, Options{Strategy: strategy})
		var got [3]float64
		for range 20_000 {
			i, lease := must(t, b, Call{}, fixedPool{})
			got[i] += 1. / 20_000
			lease.Release(0)
		}
		for i, want := range []float64{.6, .3, .1} {
			if math.Abs(got[i]-want) > .025 {
				t.Errorf("%s: upstream %d got the share %.3f", strategy, i, got[i])
			}
		}
	}
}

func TestADrainedUpstreamGetsNothing(t *testing.T) {
	upstreams := servers(3)
	upstreams[1].Weight = new(0)
	for _, strategy := range Strategies() {
		b := mustNew(t, upstreams, Options{Strategy: strategy})
		for n := range 300 {
			call := Call{Prompt: chat(fmt.Sprint(n), 10), Session: fmt.Sprint(n)}
			if i, _ := must(t, b, call, fixedPool{inFlight: map[int]int{0: 99, 2: 99}}); i == 1 {
				t.Fatalf("%s chose an upstream of weight 0", strategy)
			}
		}
		if _, ok := b.Choose(&Call{}, fixedPool{down: map[int]bool{0: true, 2: true}}, new(Lease)); ok {
			t.Errorf("%s chose an upstream of weight 0 when no other was left", strategy)
		}
	}
	for i := range upstreams {
		upstreams[i].Weight = new(0)
	}
	if _, err := New(upstreams, Options{}); !errors.Is(err, errAllDrained) {
		t.Errorf("upstreams that are all drained: %v", err)
	}
}

func TestEveryStrategyKeepsToModelsSlotsAndHealth(t *testing.T) {
	upstreams := []Upstream{
		{Address: "a:1", Models: []string{"large"}, Slots: 2},
		{Address: "b:1", Models: []string{"large"}},
		{Address: "c:1", Models: []string{"small"}},
		{Address: "d:1", Models: []string{"large"}},
	}
	for _, strategy := range Strategies() {
		for n := range 100 {
			b := mustNew(t, upstreams, Options{Strategy: strategy})
			call := Call{Model: "large", Prompt: chat(fmt.Sprint(n), 10), Session: fmt.Sprint(n)}
			pool := fixedPool{down: map[int]bool{3: true}, inFlight: map[int]int{0: 2, 1: 50}}
			if i, _ := must(t, b, call, pool); i != 1 {
				t.Fatalf("%s chose %d; one is full, one has another model, one is down", strategy, i)
			}
			pool.down[1] = true
			if i, _ := must(t, b, call, pool); i != 0 {
				t.Fatalf("%s chose %d when only a full one was left", strategy, i)
			}
			if _, ok := b.Choose(&Call{Model: "unknown"}, pool, new(Lease)); ok {
				t.Fatalf("%s found an upstream for a model that none has", strategy)
			}
		}
	}
}

func TestAnUpstreamThatHasTheModelIsPreferred(t *testing.T) {
	upstreams := servers(2)
	upstreams[1].Models = []string{"large"}
	for _, strategy := range []Strategy{StrategyPrefixWork, StrategyLeastWork, StrategyP2C} {
		b := mustNew(t, upstreams, Options{Strategy: strategy})
		for n := range 50 {
			b.loads[1].prefill.Store(5000)
			if i, lease := must(t, b, Call{Model: "large", Prompt: chat(fmt.Sprint(n), 10)}, fixedPool{}); i != 1 {
				t.Fatalf("%s: a call goes where the model must be loaded first", strategy)
			} else {
				lease.Release(0)
			}
			b.loads[1].prefill.Store(20_000)
			if i, lease := must(t, b, Call{Model: "large", Prompt: chat(fmt.Sprint(n), 10)}, fixedPool{}); i != 0 {
				t.Fatalf("%s: a call waits longer than loading the model takes", strategy)
			} else {
				lease.Release(0)
			}
		}
	}
}

// Caddy's random_choose keeps the worse of two in half of the cases.
func TestTheLesserOfTwoIsTakenWhicheverIsDrawnFirst(t *testing.T) {
	for _, calls := range []map[int]int{{0: 3, 1: 30}, {0: 30, 1: 3}} {
		b := mustNew(t, servers(2), Options{Strategy: StrategyP2C})
		wrong := 0
		for range 2000 {
			i, lease := must(t, b, Call{}, fixedPool{inFlight: calls})
			if calls[i] == 30 {
				wrong++
			}
			lease.Release(0)
		}
		if wrong > 2000/10 { // both draws hit the same one, attempts times in a row
			t.Errorf("%v: the busier one was taken %d times of 2000", calls, wrong)
		}
	}
}

func TestNewRefusesWhatIsNoStrategy(t *testing.T) {
	_, err := New(servers(1), Options{Strategy: "abacus"})
	if err == nil || !strings.Contains(err.Error(), `unknown strategy "abacus"; known: prefix_work, least_work, weighted_random, p2c, prefix_hash, session`) {
		t.Error(err)
	}
}
