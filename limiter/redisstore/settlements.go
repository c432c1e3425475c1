package redisstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/limiter"
)

const (
	batchSize = 64      // settlements that one pipeline sends
	maxTaken  = 16      // settlements that an admission takes along
	maxQueued = 1 << 17 // settlements that wait; further ones are lost, and lapse
)

// settlement is the end of a call on its way to the server. Sent twice, it acts once.
type settlement struct {
	call   *call
	actual limiter.Tokens
	undo   bool
	done   atomic.Bool
}

// settlements are those that the server has not confirmed, in their order.
type settlements struct {
	mu    sync.Mutex
	queue []*settlement
	keys  map[string][]*settlement // by the name of the key's counter
	wake  chan struct{}
	lost  atomic.Uint64
}

func (q *settlements) init() {
	q.keys, q.wake = make(map[string][]*settlement), make(chan struct{}, 1)
}

// add appends a settlement. It never waits.
func (q *settlements) add(ended *settlement) {
	q.mu.Lock()
	if len(q.queue) >= maxQueued {
		q.mu.Unlock()
		q.lost.Add(1)
		return
	}
	q.queue = append(q.queue, ended)
	base := ended.call.place.base
	q.keys[base] = append(q.keys[base], ended)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// of returns the oldest settlements of a key, at most maxTaken.
func (q *settlements) of(base string) []*settlement {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.keys[base]
	return slices.Clone(waiting[:min(len(waiting), maxTaken)])
}

// note takes a settlement out if the server has answered it.
func (q *settlements) note(ended *settlement, command *redis.Cmd) {
	if command.Err() == nil {
		q.finish(ended)
	}
}

func (q *settlements) finish(ended *settlement) {
	if ended.done.Swap(true) {
		return
	}
	base := ended.call.place.base
	q.mu.Lock()
	defer q.mu.Unlock()
	left := slices.DeleteFunc(q.keys[base], func(other *settlement) bool { return other == ended })
	if q.keys[base] = left; len(left) == 0 {
		delete(q.keys, base)
	}
}

// next returns the oldest settlements, and drops those that are done or would come too
// late: their calls have lapsed.
func (q *settlements) next() []*settlement {
	now := time.Now()
	q.mu.Lock()
	var late []*settlement
	q.queue = slices.DeleteFunc(q.queue, func(s *settlement) bool {
		if !s.done.Load() && now.After(s.call.lapses) {
			late = append(late, s)
			return true
		}
		return s.done.Load()
	})
	batch := slices.Clone(q.queue[:min(len(q.queue), batchSize)])
	q.mu.Unlock()
	for _, s := range late {
		q.lost.Add(1)
		q.finish(s)
	}
	return batch
}

// postpone puts a settlement last that the server answers with an error, so that it does
// not hold up the others.
func (q *settlements) postpone(failed *settlement) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.queue, failed); i >= 0 {
		q.queue = append(slices.Delete(q.queue, i, i+1), failed)
	}
}

// settling returns the script call of a settlement.
func (s *Store) settling(ended *settlement, now moment) *invocation {
	undo := 0
	if ended.undo {
		undo = 1
	}
	arguments := append(s.common(ended.call.id, ended.actual, ended.call.place.model, now), undo)
	return &invocation{s.scripts.settle, ended.call.place.keys(ended.call.id), append(arguments, now.arguments...)}
}

const maxPause = time.Second

// settleAll sends settlements until the context ends: while one pipeline is on its way,
// the next one gathers.
func (s *Store) settleAll(ctx context.Context) {
	for pause := time.Duration(0); ctx.Err() == nil; {
		batch := s.settlements.next()
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
			case <-s.settlements.wake:
				s.gatherMore(ctx)
			}
			continue
		}
		if s.settleBatch(ctx, batch) {
			pause = 0
			continue
		}
		pause = min(max(2*pause, 10*time.Millisecond), maxPause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// gatherMore waits for others to join a settlement, above all for the next admission of
// the key, which takes it along.
func (s *Store) gatherMore(ctx context.Context) {
	if s.gather <= 0 || s.closed.Load() {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(s.gather):
	}
}

// settleBatch sends settlements in one pipeline and reports whether all went well.
func (s *Store) settleBatch(ctx context.Context, batch []*settlement) bool {
	ctx, cancel := context.WithTimeout(ctx, max(s.timeout, time.Second))
	defer cancel()
	now := s.clock()
	invocations := make([]*invocation, len(batch))
	for i, ended := range batch {
		invocations[i] = s.settling(ended, now)
	}
	well := true
	for i, command := range invoke(ctx, s.client, invocations) {
		s.settlements.note(batch[i], command)
		if err := command.Err(); err != nil {
			well = false
			if redisError := redis.Error(nil); errors.As(err, &redisError) {
				s.settlements.postpone(batch[i])
			}
		}
	}
	return well
}

// Flush waits until the server has confirmed every settlement so far.
func (s *Store) Flush(ctx context.Context) error {
	for {
		s.settlements.mu.Lock()
		left := len(s.settlements.keys)
		s.settlements.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return unavailable(ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}
