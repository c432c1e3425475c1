package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/limiter"
)

// Store is a limiter that counts in Redis. All methods are safe for concurrent use.
type Store struct {
	client  redis.UniversalClient
	scripts scripts
	judge   *limiter.Judge
	zone    *time.Location
	strict  bool
	entries int
	prefix  string
	timeout time.Duration
	onError OnError
	logger  *slog.Logger
	clock   func() moment // of the server, as far as it is known here
	stale   time.Duration // an admission that reaches the server later does nothing

	gather time.Duration // how long a settlement waits for others

	nonce  uint64
	number atomic.Uint64 // of the last call
	offset atomic.Int64  // ns from this machine's clock to the server's
	closed atomic.Bool

	mu   sync.Mutex
	open map[uint64]*call // admitted and not ended, by number

	settlements settlements
	circuit     circuit
	uncounted   atomic.Uint64 // calls that were admitted while Redis was away
	finished    sync.WaitGroup
	stop        context.CancelFunc
}

// call is an admitted call.
type call struct {
	id      string
	place   place
	lapses  time.Time // when the server gives it up, on this machine's clock
	counted bool
}

// moment is a time of the server's clock. The arguments are what the scripts of tests
// take in place of it.
type moment struct {
	now       time.Duration // windows are measured with it
	wall      time.Time
	arguments []any
}

// Open connects to a server and checks that it can keep the counters: its version and
// settings, the user's rights, and that neither another program nor stores with other
// settings use the prefix. An error that wraps ErrUnfit names what is wrong; with
// WithOnError(Admit) a server that cannot be reached is no error.
func Open(ctx context.Context, server Server, options ...Option) (*Store, error) {
	s := &Store{
		zone: time.UTC, entries: limiter.DefaultEntries, prefix: DefaultPrefix, timeout: DefaultTimeout,
		logger: slog.New(slog.DiscardHandler), scripts: newScripts(clockSource), stale: 10 * time.Second, gather: 2 * time.Millisecond,
		open: make(map[uint64]*call),
	}
	s.clock = s.serverTime
	for _, option := range options {
		option(s)
	}
	var nonce [8]byte
	rand.Read(nonce[:]) // never fails
	s.nonce = binary.BigEndian.Uint64(nonce[:])
	s.judge = limiter.NewJudge(s.judgeOptions()...)
	s.client = server.connect(s.timeout)
	s.settlements.init()
	if err := s.check(ctx); err != nil {
		if s.onError == Deny || errors.Is(err, ErrUnfit) {
			return nil, errors.Join(err, s.client.Close())
		}
		s.circuit.trip(err, s.logger)
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.finished.Go(func() { s.settleAll(background) })
	s.finished.Go(func() { s.watch(background) })
	return s, nil
}

// serverTime returns the time on the server's clock.
func (s *Store) serverTime() moment {
	wall := time.Now().Add(time.Duration(s.offset.Load()))
	return moment{now: time.Duration(wall.UnixNano()), wall: wall}
}

// learn remembers how far the server's clock is from this machine's.
func (s *Store) learn(server time.Time) { s.offset.Store(int64(time.Until(server))) }

// Close refuses further admissions, sends what is not settled yet, for a few seconds at
// most, and disconnects. What could not be sent lapses by itself.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	err := s.Flush(ctx)
	s.stop()
	s.finished.Wait()
	return errors.Join(err, s.client.Close())
}

const closePatience = 5 * time.Second

// Reserve does what limiter.Memory.Reserve does, with the counters that all gateways
// share. Errors: *limiter.ValueError, limiter.ErrFull, limiter.ErrClosed, and those that
// wrap ErrUnavailable.
func (s *Store) Reserve(ctx context.Context, request limiter.Request) (limiter.Decision, error) {
	if err := request.Check(); err != nil {
		return limiter.Decision{}, err
	}
	if s.closed.Load() {
		return limiter.Decision{}, limiter.ErrClosed
	}
	if s.circuit.open() {
		return s.without(&request, ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	a := admission{
		store: s, request: &request, place: s.place(&request), rules: s.rules(&request), tokens: shrunk(&request),
		number: s.number.Add(1),
	}
	a.id = s.callID(a.number)
	decision, err := a.run(ctx)
	switch {
	case err == nil:
		s.circuit.succeed()
		return decision, nil
	case errors.Is(err, limiter.ErrFull):
		return decision, err
	}
	// It may have been admitted all the same.
	s.settlements.add(&settlement{call: a.call(), undo: true})
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return limiter.Decision{}, unavailable(err) // the caller left; that says nothing about Redis
	}
	if !foreign(err) { // that is about one key, not about the server
		s.circuit.fail(err, s.logger)
	}
	return s.without(&request, unavailable(err))
}

// without decides about a call while Redis is away.
func (s *Store) without(request *limiter.Request, err error) (limiter.Decision, error) {
	if s.onError == Deny {
		return limiter.Decision{}, err
	}
	s.uncounted.Add(1)
	number := s.number.Add(1)
	tokens := shrunk(request)
	return limiter.Decision{Admitted: true, Reserved: tokens, Handle: s.enter(number, &call{})}, nil
}

// enter remembers an admitted call.
func (s *Store) enter(number uint64, admitted *call) limiter.Handle {
	s.mu.Lock()
	s.open[number] = admitted
	s.mu.Unlock()
	return limiter.Handle{ID: number, Slot: s.nonce}
}

// leave forgets it. Only the first one that asks gets it.
func (s *Store) leave(handle limiter.Handle) (*call, error) {
	if handle.Slot != s.nonce || handle.ID == 0 || handle.ID > s.number.Load() || handle.Check != 0 {
		return nil, limiter.ErrForged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := s.open[handle.ID]
	if ended == nil {
		return nil, limiter.ErrResolved
	}
	delete(s.open, handle.ID)
	return ended, nil
}

// Settle replaces the reserved tokens by the actual ones and ends the call in flight, as
// limiter.Memory.Settle does. It does not wait for the server. Errors: limiter.ErrForged,
// limiter.ErrResolved, *limiter.ValueError.
func (s *Store) Settle(_ context.Context, handle limiter.Handle, actual limiter.Tokens) error {
	if err := limiter.CheckTokens(actual); err != nil {
		return err
	}
	return s.end(handle, actual, false)
}

// Cancel takes a reservation back as if the call had not been made, its request count
// included. It does not wait for the server. Errors: limiter.ErrForged,
// limiter.ErrResolved.
func (s *Store) Cancel(_ context.Context, handle limiter.Handle) error {
	return s.end(handle, limiter.Tokens{}, true)
}

func (s *Store) end(handle limiter.Handle, actual limiter.Tokens, undo bool) error {
	ended, err := s.leave(handle)
	if err == nil && ended.counted {
		s.settlements.add(&settlement{call: ended, actual: actual, undo: undo})
	}
	return err
}

// Inspect does what limiter.Memory.Inspect does. It waits for Redis even while calls are
// decided without it. Errors: *limiter.ValueError, and those that wrap ErrUnavailable.
func (s *Store) Inspect(ctx context.Context, request limiter.Request) (limiter.State, error) {
	if err := request.Check(); err != nil {
		return limiter.State{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(s.timeout, time.Second))
	defer cancel()
	at := s.place(&request)
	now := s.clock()
	command := invoke(ctx, s.client, []*invocation{{s.scripts.inspect, at.keys(""), now.arguments}})[0]
	reply, err := command.Slice()
	if err != nil {
		return limiter.State{}, unavailable(err)
	}
	counted, err := s.counted(reply, &at, now)
	if err != nil {
		return limiter.State{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return s.judge.Inspect(&request, counted), nil
}
