package cpu

import (
	"sync"
	"sync/atomic"
)

// spins is how often a thread looks for news before it parks: some 100 us, longer
// than the gaps between the stages of a step, shorter than anyone else would
// miss the core.
const spins = 200000

// pool runs the stages of a step on several threads. The caller of run is one of
// them. Workers take tasks one by one, so that a core that another program slows
// down takes fewer, and park when there is nothing to do.
type pool struct {
	workers []*worker
	current atomic.Pointer[stage]
	done    sync.WaitGroup
}

type worker struct {
	parked atomic.Bool
	wake   chan struct{}
}

// stage is one parallel loop. It is never used twice: a worker that wakes late
// may still hold it, and must find that it has no tasks left.
type stage struct {
	work     func(worker, task int)
	tasks    int64
	next     atomic.Int64
	finished atomic.Int64
	complete chan struct{}
	stop     bool
}

// newPool starts threads-1 workers.
func newPool(threads int) *pool {
	p := &pool{}
	p.current.Store(&stage{})
	for i := 1; i < threads; i++ {
		w := &worker{wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		p.done.Add(1)
		go p.serve(w, i)
	}
	return p
}

// close ends the workers and waits for them.
func (p *pool) close() {
	p.publish(&stage{stop: true})
	p.done.Wait()
}

// run calls work(worker, task) for each task below tasks. Calls with the same
// worker number never overlap. Only one run may be under way.
func (p *pool) run(tasks int, work func(worker, task int)) {
	if tasks <= 1 || len(p.workers) == 0 {
		for task := range tasks {
			work(0, task)
		}
		return
	}
	s := &stage{work: work, tasks: int64(tasks), complete: make(chan struct{}, 1)}
	p.publish(s)
	s.help(0)
	for range spins {
		if s.finished.Load() == s.tasks {
			return
		}
	}
	<-s.complete
}

func (p *pool) publish(s *stage) {
	p.current.Store(s)
	for _, w := range p.workers {
		if w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
}

// help does tasks of the stage until none is left to take.
func (s *stage) help(worker int) {
	for {
		task := s.next.Add(1) - 1
		if task >= s.tasks {
			return
		}
		s.work(worker, int(task))
		if s.finished.Add(1) == s.tasks {
			s.complete <- struct{}{}
		}
	}
}

func (p *pool) serve(w *worker, number int) {
	defer p.done.Done()
	var last *stage
	for {
		s := p.await(w, last)
		if s.stop {
			return
		}
		s.help(number)
		last = s
	}
}

// await returns the current stage once it is another than last.
func (p *pool) await(w *worker, last *stage) *stage {
	for range spins {
		if s := p.current.Load(); s != last {
			return s
		}
	}
	w.parked.Store(true)
	// A stage that was published before the store did not see the worker parked.
	if s := p.current.Load(); s != last && w.parked.CompareAndSwap(true, false) {
		return s
	}
	<-w.wake
	return p.current.Load()
}
