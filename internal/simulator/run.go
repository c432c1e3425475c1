package simulator

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"
)

// Config is one experiment, apart from the router.
type Config struct {
	Engines  []Hardware
	Workload Workload
	Rate     float64 // of sessions, or of calls for workloads without sessions, per second
	Seed     uint64
	Length   time.Duration // of arrivals
	Warmup   time.Duration // calls that arrive before are not counted. Default: two fifths of Length
	// Restart is when the first engine loses its cache and its calls, for RestartTime.
	Restart, RestartTime time.Duration
	// Gateways is how many route, each for a random share of the sessions' calls. Default: 1.
	Gateways int
}

// event is something that happens at a time.
type event struct {
	at     time.Duration
	number int // events of one time happen in the order in which they were planned
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// Run is an experiment while it runs: what routers may look at.
type Run struct {
	config  Config
	now     time.Duration
	random  *rand.Rand // of the workload
	engines []*engine
	routers []Router
	served  []*Request

	queue    events
	planned  int
	requests int
	gateway  *rand.Rand
	idle     time.Duration // the longest that an engine was idle while another one had a queue
}

// at plans something.
func (r *Run) at(when time.Duration, do func()) {
	r.planned++
	heap.Push(&r.queue, event{max(when, r.now), r.planned, do})
}

// Simulate runs an experiment with a router. It is deterministic.
func Simulate(config Config, make func(*Run, uint64) Router) Result {
	if config.Warmup == 0 {
		config.Warmup = config.Length * 2 / 5
	}
	r := &Run{config: config, random: rand.New(rand.NewPCG(config.Seed, 1)), gateway: rand.New(rand.NewPCG(config.Seed, 2))}
	for _, hardware := range config.Engines {
		r.engines = append(r.engines, newEngine(hardware))
	}
	for i := range max(1, config.Gateways) {
		r.routers = append(r.routers, make(r, config.Seed*100+uint64(i)))
	}
	config.Workload.Start(r)
	if config.Restart > 0 {
		r.at(config.Restart, r.restart)
	}
	limit := config.Length + time.Minute // what is not served by then is too late for any target
	for len(r.queue) > 0 {
		next := heap.Pop(&r.queue).(event)
		if next.at > limit {
			break
		}
		r.now = next.at
		next.do()
	}
	return r.measure()
}

// send makes a call now. done is called when it ends.
func (r *Run) send(q *Request, done func(ended time.Duration)) {
	r.requests++
	q.Number, q.Arrived, q.next = r.requests, r.now, done
	q.prepare()
	r.served = append(r.served, q)
	r.route(q)
}

func (r *Run) route(q *Request) {
	router := r.routers[0]
	if len(r.routers) > 1 {
		router = r.routers[r.gateway.IntN(len(r.routers))]
	}
	q.note = nil
	q.router = router
	q.Engine = router.Route(q)
	e := r.engines[q.Engine]
	e.add(q)
	r.start(e)
}

// start begins a step of an engine that has something to do.
func (r *Run) start(e *engine) {
	if e.busy || e.down {
		return
	}
	e.admit()
	if len(e.running) == 0 {
		return
	}
	if e.idleQueue > 0 {
		r.idle = max(r.idle, r.now-e.idleQueue)
		e.idleQueue = 0
	}
	e.busy = true
	generation := e.generation
	r.at(r.now+e.step(), func() {
		if e.generation != generation {
			return
		}
		e.finish(r.started, r.ended)
		e.busy = false
		r.start(e)
		r.watchQueues()
	})
}

func (r *Run) started(q *Request) {
	if q.First == 0 {
		q.First = r.now
		q.router.FirstByte(q)
	}
}

func (r *Run) ended(q *Request) {
	q.Ended = r.now
	q.router.Ended(q)
	if q.next != nil {
		q.next(r.now)
	}
}

// watchQueues notes since when an idle engine has had a neighbour with a queue.
func (r *Run) watchQueues() {
	queued := false
	for _, e := range r.engines {
		queued = queued || len(e.waiting) > 0
	}
	for _, e := range r.engines {
		switch {
		case e.busy || e.down || !queued:
			e.idleQueue = 0
		case e.idleQueue == 0:
			e.idleQueue = r.now
		default:
			r.idle = max(r.idle, r.now-e.idleQueue)
		}
	}
}

// restart empties the first engine. Its calls go elsewhere, as a gateway's clients would.
func (r *Run) restart() {
	e := r.engines[0]
	var lost []*Request
	for _, s := range append(e.running, e.waiting...) {
		lost = append(lost, s.request)
	}
	fresh := newEngine(e.hardware)
	fresh.generation, fresh.down = e.generation+1, true
	*e = *fresh
	for _, q := range lost {
		q.router.Ended(q)
		if q.First == 0 {
			r.route(q)
		} else if q.next != nil {
			q.next(r.now)
		}
	}
	for _, router := range r.routers {
		if watcher, ok := router.(Watcher); ok {
			watcher.Restarted(0)
		}
	}
	r.at(r.now+r.config.RestartTime, func() {
		e.down = false
		r.start(e)
	})
}

// Now returns the time of the run.
func (r *Run) Now() time.Duration { return r.now }

// Engines returns how many there are.
func (r *Run) Engines() int { return len(r.engines) }

// Up says that an engine takes calls. A gateway learns that from its failed calls.
func (r *Run) Up(i int) bool { return !r.engines[i].down }

// Cached returns what an engine really has of a prompt, in tokens.
func (r *Run) Cached(i int, q *Request) int { return r.engines[i].cache.has(q.blocks) * blockTokens }

// exponential returns a random time with a mean.
func exponential(random *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(-math.Log(1-random.Float64()) * float64(mean))
}
