package balance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/cputime"
)

func TestPromptsOfOwnersAreKeptApartUnlessTheyAreShared(t *testing.T) {
	for _, shared := range []bool{false, true} {
		b := mustNew(t, servers(2), Options{SharePrompts: shared})
		prompt := chat("s", 100)
		_, lease := must(t, b, Call{Prompt: prompt, Owner: "one"}, fixedPool{})
		lease.FirstByte()
		lease.Release(0)
		_, lease = must(t, b, Call{Prompt: prompt, Owner: "two"}, fixedPool{})
		if cached := lease.prefill.Load() < 100; cached != shared {
			t.Errorf("shared %v: %d tokens of work", shared, lease.prefill.Load())
		}
		if _, lease := must(t, b, Call{Prompt: prompt, Owner: "two", Model: "other"}, fixedPool{}); lease.prefill.Load() < 1000 {
			t.Error("another model has the prompt in its cache")
		}
	}
}

func TestWhatACacheMadeRoomForIsForgotten(t *testing.T) {
	for _, test := range []struct {
		size   int
		cached bool
	}{{0, true}, {200_000, true}, {50_000, false}} {
		upstreams := servers(1)
		upstreams[0].KVTokens = test.size
		b := mustNew(t, upstreams, Options{})
		prompt := chat("s", 1000)
		serve := func(prompt []byte) int64 {
			_, lease := must(t, b, Call{Prompt: prompt}, fixedPool{})
			work := lease.prefill.Load()
			lease.FirstByte()
			lease.Release(0)
			return work
		}
		serve(prompt)
		for n := range 50 { // 100,000 tokens of others
			serve(chat(fmt.Sprint(n), 1000))
		}
		if cached := serve(prompt) < 1000; cached != test.cached {
			t.Errorf("a cache of %d tokens: cached %v", test.size, cached)
		}
		if serve(prompt) > 100 {
			t.Errorf("a cache of %d tokens: what was used just now is forgotten", test.size)
		}
	}
}

func TestGatewaysAgreeOnConversationsThatTheyDoNotKnow(t *testing.T) {
	upstreams := servers(4)
	alike, shares := 0, [4]int{}
	const conversations = 400
	for n := range conversations {
		prompt := chat(fmt.Sprint(n), 400, 400, 50)
		one, _ := must(t, mustNew(t, upstreams, Options{Gateways: 4, Random: rand.Uint64}), Call{Prompt: prompt}, fixedPool{})
		other, _ := must(t, mustNew(t, upstreams, Options{Gateways: 4, Random: rand.Uint64}), Call{Prompt: prompt}, fixedPool{})
		if one == other {
			alike++
		}
		shares[one]++
	}
	if alike != conversations {
		t.Errorf("two gateways agree on %d of %d conversations", alike, conversations)
	}
	for i, share := range shares {
		if share < conversations/8 {
			t.Errorf("upstream %d owns %d of %d", i, share, conversations)
		}
	}
}

func TestEmbeddingsGoWhereLeastIsUnderWay(t *testing.T) {
	b := mustNew(t, servers(3), Options{})
	b.loads[0].prefill.Store(300)
	b.loads[1].calls.Store(2)
	if i, _ := must(t, b, Call{Tokens: 50}, fixedPool{}); i != 2 {
		t.Errorf("got %d", i)
	}
}

func TestAnswersTakeRoomInACache(t *testing.T) {
	upstreams := servers(1)
	upstreams[0].KVTokens = 50_000
	b := mustNew(t, upstreams, Options{})
	prompt := chat("s", 1000)
	for answer, cached := range map[int64]bool{30_000: true, 40_000: false} {
		_, lease := must(t, b, Call{Prompt: prompt}, fixedPool{})
		lease.FirstByte()
		lease.Release(answer)
		_, lease = must(t, b, Call{Prompt: prompt}, fixedPool{})
		if got := lease.prefill.Load() < 1000; got != cached {
			t.Errorf("after an answer of %d tokens: cached %v", answer, got)
		}
		lease.Release(0)
	}
}

// typical returns a prompt of twelve messages and 16 KiB.
func typical(seed int) []byte {
	text := fmt.Sprintf(`[{"role":"system","content":"%d %s"}`, seed, strings.Repeat("You are a helpful assistant. ", 100))
	for i := range 11 {
		role := [2]string{"user", "assistant"}[i%2]
		text += fmt.Sprintf(`,{"role":%q,"content":"%s"}`, role, strings.Repeat(`It says \"no\". Why? And what can be done?\n\n`, 26))
	}
	return []byte(text + "]")
}

// Of conversations that the index knows, for what the gate does in front of every call.
func BenchmarkChoose(b *testing.B) {
	for _, size := range []struct{ upstreams, copies int }{{8, 1}, {64, 4}} {
		upstreams := make([]Upstream, size.upstreams)
		for i := range upstreams {
			upstreams[i].Address = fmt.Sprintf("gpu%d:8000", i)
			upstreams[i].KVTokens = 400_000
		}
		prompts := make([][]byte, 64)
		for i := range prompts {
			prompts[i] = typical(i)
			for range size.copies - 1 {
				prompts[i] = append(append(prompts[i][:len(prompts[i])-1], ','), typical(i)[1:]...)
			}
		}
		b.Run(fmt.Sprintf("%dKiB,%d", len(prompts[0])>>10, size.upstreams), func(b *testing.B) {
			balancer := mustNew(b, upstreams, Options{})
			lease, n := new(Lease), 0
			b.ReportAllocs()
			before := cputime.Used()
			for b.Loop() {
				call := Call{Model: "m", Owner: "o", Prompt: prompts[n%len(prompts)]}
				n++
				if _, ok := balancer.Choose(&call, fixedPool{}, lease); !ok {
					b.Fatal("no upstream")
				}
				lease.FirstByte()
				lease.Release(0)
			}
			b.ReportMetric(float64((cputime.Used()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func TestAChoiceAllocatesNothing(t *testing.T) {
	for _, strategy := range Strategies() {
		b := mustNew(t, servers(8), Options{Strategy: strategy})
		call := Call{Model: "m", Owner: "o", Prompt: typical(1)}
		lease, pool := new(Lease), Pool(fixedPool{})
		choose := func() {
			if _, ok := b.Choose(&call, pool, lease); !ok {
				t.Fatal("no upstream")
			}
			lease.FirstByte()
			lease.Release(0)
		}
		choose()
		if allocations := testing.AllocsPerRun(100, choose); allocations > 0 {
			t.Errorf("%s: %v allocations", strategy, allocations)
		}
	}
}
