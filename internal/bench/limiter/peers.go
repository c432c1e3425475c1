package bench

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/RussellLuo/slidingwindow"
	"github.com/go-chi/httprate"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	ululememory "github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// peer makes limiters that admit limit calls of a key per window.
type peer struct {
	name string
	make func(limit int, window time.Duration) instance
	// ownClock is set if the limiter reads the time past package time, so that a
	// simulated clock does not reach it.
	ownClock bool
}

// instance is one limiter. settle, if not nil, ends the calls that were admitted
// since it was last called.
type instance struct {
	allow  func(key string) bool
	settle func()
	close  func()
}

// must ends the program: a peer that cannot be set up cannot be compared.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

var background = context.Background()

// peers are the contenders; the first two are the baselines.
var peers = []peer{
	{name: "floor: mutex + map counter", make: newFloor},
	{name: "clocked floor: fixed window", make: newClocked},
	{name: "**penstock**, 1 limit", make: newPenstock(1, false)},
	{name: "**penstock**, 4 limits + in flight", make: newPenstock(4, false)},
	{name: "**penstock**, key + model: 8 limits + in flight", make: newPenstock(8, false)},
	{name: "**penstock**, the same + settle", make: newPenstock(8, true)},
	{name: "caddy-ratelimit v0.1.0", make: newCaddy},
	{name: "x/time/rate v0.16.0 + map", make: newRate},
	{name: "throttled v2.15.0 (GCRA)", make: newThrottled},
	{name: "sethvargo v0.7.1", make: newSethvargo, ownClock: true},
	{name: "ulule v3.11.2", make: newUlule},
	{name: "httprate v0.16.1", make: newHTTPRate},
	{name: "slidingwindow 2020-05 + map", make: newSlidingWindow},
}

func newFloor(limit int, _ time.Duration) instance {
	var mu sync.Mutex
	counts := map[string]int{}
	return instance{allow: func(key string) bool {
		mu.Lock()
		defer mu.Unlock()
		if counts[key] >= limit {
			return false
		}
		counts[key]++
		return true
	}}
}

func newClocked(limit int, window time.Duration) instance {
	type fixed struct {
		began time.Time
		count int
	}
	var mu sync.Mutex
	windows := map[string]fixed{}
	return instance{allow: func(key string) bool {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		w, known := windows[key]
		if !known || now.Sub(w.began) >= window {
			w = fixed{began: now}
		}
		if w.count >= limit {
			return false
		}
		w.count++
		windows[key] = w
		return true
	}}
}

// newPenstock returns a maker of limiters with some limits per key, half of them
// on the key's use of a model if there are 8.
func newPenstock(count int, settled bool) func(int, time.Duration) instance {
	return func(limit int, _ time.Duration) instance {
		m := limiter.New()
		wide := limits.Row{RPM: int64(limit)}
		if count > 1 {
			wide = limits.Row{RPM: int64(limit), TPM: 1 << 50, RPD: 1 << 31, TPD: 1 << 50, MaxInFlight: 1 << 30}
		}
		request := limiter.Request{Tokens: limiter.Tokens{Input: 500, Output: 500}, Rows: []limits.Binding{{Row: wide}}}
		if count == 8 {
			request.Model = "tiny"
			request.Rows = append(request.Rows, limits.Binding{Row: wide.For("tiny")})
		}
		var open []limiter.Handle // for one goroutine, as the others' cost would be ours
		used := limiter.Tokens{Input: 500, Output: 200}
		i := instance{allow: func(key string) bool {
			call := request
			call.Key = key
			decision, err := m.Reserve(background, call)
			must(err)
			if decision.Admitted && settled {
				must(m.Settle(background, decision.Handle, used))
			} else if decision.Admitted {
				open = append(open, decision.Handle)
			}
			return decision.Admitted
		}}
		if !settled {
			i.settle = func() {
				for _, handle := range open {
					must(m.Settle(background, handle, used))
				}
				open = open[:0]
			}
		}
		return i
	}
}

func newCaddy(limit int, window time.Duration) instance {
	m := newCaddyMap()
	return instance{allow: func(key string) bool {
		return caddyWhen(caddyGetOrInsert(m, key, limit, window)) == 0
	}}
}

func newRate(limit int, window time.Duration) instance {
	var mu sync.Mutex
	limiters := map[string]*rate.Limiter{}
	return instance{allow: func(key string) bool {
		mu.Lock()
		l := limiters[key]
		if l == nil {
			l = rate.NewLimiter(rate.Limit(float64(limit)/window.Seconds()), limit)
			limiters[key] = l
		}
		mu.Unlock()
		return l.Allow()
	}}
}

func newThrottled(limit int, window time.Duration) instance {
	store, err := memstore.NewCtx(0)
	must(err)
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate: throttled.PerDuration(limit, window), MaxBurst: limit - 1,
	})
	must(err)
	return instance{allow: func(key string) bool {
		limited, _, err := l.RateLimitCtx(background, key, 1)
		return err == nil && !limited
	}}
}

func newSethvargo(limit int, window time.Duration) instance {
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(limit), Interval: window})
	must(err)
	return instance{
		allow: func(key string) bool {
			_, _, _, ok, err := store.Take(background, key)
			return err == nil && ok
		},
		close: func() { must(store.Close(background)) },
	}
}

func newUlule(limit int, window time.Duration) instance {
	store := ululememory.NewStoreWithOptions(ulule.StoreOptions{Prefix: "bench"})
	l := ulule.New(store, ulule.Rate{Period: window, Limit: int64(limit)})
	return instance{allow: func(key string) bool {
		state, err := l.Get(background, key)
		return err == nil && !state.Reached
	}}
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header          { return d.header }
func (discard) Write(data []byte) (int, error) { return len(data), nil }
func (discard) WriteHeader(int)                {}

func newHTTPRate(limit int, window time.Duration) instance {
	l := httprate.NewRateLimiter(limit, window)
	request, err := http.NewRequestWithContext(background, http.MethodGet, "/", nil)
	must(err)
	response := discard{http.Header{}}
	return instance{allow: func(key string) bool { return !l.OnLimit(response, request, key) }}
}

func newSlidingWindow(limit int, window time.Duration) instance {
	var mu sync.Mutex
	limiters := map[string]*slidingwindow.Limiter{}
	return instance{allow: func(key string) bool {
		mu.Lock()
		l := limiters[key]
		if l == nil {
			l, _ = slidingwindow.NewLimiter(window, int64(limit), func() (slidingwindow.Window, slidingwindow.StopFunc) {
				return slidingwindow.NewLocalWindow()
			})
			limiters[key] = l
		}
		mu.Unlock()
		return l.Allow()
	}}
}
