// Package admintest tests the administration from outside: a real ledger on disk, a
// real limiter and a real listener, with every reply compared with the OpenAPI
// document. It is only for tests.
package admintest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
)

// Server is the handler under test over a ledger and a limiter.
type Server struct {
	T       testing.TB
	Ledger  *ledger.Ledger
	Limiter *limiter.Memory
	URL     string
	Admin   string // text of a key for all owners
	Member  string // text of a member's key of the owner default

	client      *http.Client
	handler     http.Handler
	documenting sync.Once
	document    map[string]any

	mu  sync.Mutex
	now time.Time
}

// New returns a server over a new ledger. build makes the handler under test; what
// is in the server by then is the ledger, the limiter, the clock and the two keys.
func New(t testing.TB, build func(*Server) http.Handler) *Server {
	t.Helper()
	s := Over(t, OpenStore(t))
	s.Admin = s.Mint(ledger.NewKey{Name: "root", Role: ledger.RoleAdmin, AllOwners: true})
	s.Member = s.Mint(ledger.NewKey{Name: "member"})
	s.Serve(build(s))
	t.Cleanup(func() {
		if err := s.Ledger.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// OpenStore opens a new store on disk.
func OpenStore(t testing.TB) ledger.Store {
	t.Helper()
	store, err := sqlitestore.Open(context.Background(), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// Over returns a server over a store that has no key and serves nothing yet. The
// test closes its ledger.
func Over(t testing.TB, store ledger.Store) *Server {
	t.Helper()
	s := &Server{T: t, now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	var err error
	if s.Ledger, err = ledger.Open(context.Background(), store, ledger.WithClock(s.Clock)); err != nil {
		t.Fatal(err)
	}
	s.Limiter = limiter.New()
	t.Cleanup(func() {
		if err := s.Limiter.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Serve puts a handler behind a listener.
func (s *Server) Serve(handler http.Handler) {
	s.handler = handler
	listener := httptest.NewServer(handler)
	s.T.Cleanup(listener.Close)
	s.URL, s.client = listener.URL, listener.Client()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}

// Clock is the time at the server.
func (s *Server) Clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Advance moves the clock.
func (s *Server) Advance(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(by)
}

// Mint makes a key behind the handler's back and returns its text.
func (s *Server) Mint(request ledger.NewKey) string {
	s.T.Helper()
	_, secret, err := s.Ledger.CreateKey(context.Background(), request)
	if err != nil {
		s.T.Fatal(err)
	}
	return secret.Reveal()
}

// Grant puts credit on an account.
func (s *Server) Grant(account string, amount ledger.Micro) {
	s.T.Helper()
	if _, err := s.Ledger.TopUp(context.Background(), account, amount, fmt.Sprint(account, amount)); err != nil {
		s.T.Fatal(err)
	}
}

// Spend runs a call through the ledger and charges it.
func (s *Server) Spend(text, model string, quantity ledger.Quantity) {
	s.T.Helper()
	key, err := s.Ledger.Authenticate(text)
	if err != nil {
		s.T.Fatal(err)
	}
	hold, err := s.Ledger.Hold(context.Background(), ledger.HoldRequest{
		KeyID: key.ID, Model: model, Worst: quantity, Deadline: s.Clock().Add(time.Minute),
	})
	if err != nil {
		s.T.Fatal(err)
	}
	if _, err := s.Ledger.Settle(context.Background(), hold.ID, ledger.Settlement{Quantity: quantity}); err != nil {
		s.T.Fatal(err)
	}
}

// Run counts a call in the limiter.
func (s *Server) Run(key *ledger.Key, model string, tokens limiter.Tokens) {
	s.T.Helper()
	decision, err := s.Limiter.Reserve(context.Background(), limiter.Request{
		Key: key.ID, Model: model, Tokens: tokens, Rows: key.LimitsFor(nil, model), Timeout: time.Minute,
	})
	if err != nil || !decision.Admitted {
		s.T.Fatalf("%+v %v", decision, err)
	}
	if err := s.Limiter.Settle(context.Background(), decision.Handle, tokens); err != nil {
		s.T.Fatal(err)
	}
}

// Call makes a request with a bearer key. Headers come as name, value pairs.
func (s *Server) Call(method, path, key, body string, headers ...string) Reply {
	s.T.Helper()
	request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.T.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	r := Reply{s.T, response.StatusCode, response.Header, string(content)}
	s.conforms(method, request.URL.EscapedPath(), r)
	return r
}
