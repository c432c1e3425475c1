package admin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
)

// faultyStore is a real store whose writes fail or wait when a test says so.
type faultyStore struct {
	ledger.Store
	broken atomic.Bool
	gate   chan struct{} // closed: writes pass
}

func (s *faultyStore) Append(ctx context.Context, entries []ledger.Entry) error {
	if s.broken.Load() {
		return errors.New("the disk is gone")
	}
	<-s.gate
	return s.Store.Append(ctx, entries)
}

// onStore serves a handler over a store that a test breaks.
func onStore(t *testing.T, gate chan struct{}, options ...Option) (*server, *faultyStore) {
	t.Helper()
	opened, err := sqlitestore.Open(context.Background(), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	open := make(chan struct{})
	close(open)
	store := &faultyStore{Store: opened, gate: open}
	s := &server{t: t, now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	if s.ledger, err = ledger.Open(context.Background(), store); err != nil {
		t.Fatal(err)
	}
	s.limiter = limiter.New()
	s.admin = s.mint(ledger.NewKey{Name: "root", Role: ledger.RoleAdmin, AllOwners: true})
	if gate != nil {
		store.gate = gate
	}
	s.handler = New(s.ledger, s.limiter, options...)
	listener := httptest.NewServer(s.handler)
	s.url, s.client = listener.URL, listener.Client()
	t.Cleanup(func() {
		listener.Close()
		_ = s.ledger.Close(context.Background()) // fails where the test broke the store
		if err := s.limiter.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, store
}

func TestAWriteThatFailsIsNeverAcknowledgedAndShowsNoKey(t *testing.T) {
	ended := make(chan string, 10)
	s, store := onStore(t, nil, WithRevoked(func(id string) { ended <- id }))
	id := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a"}`).want(201).text("id")
	store.broken.Store(true)
	for _, c := range [][3]string{
		{"POST", "/admin/v1/keys", `{"name":"b"}`},
		{"PATCH", "/admin/v1/keys/" + id, `{"version":1,"name":"c"}`},
		{"POST", "/admin/v1/keys/" + id + "/rotate", ""},
		{"DELETE", "/admin/v1/keys/" + id, ""},
		{"POST", "/admin/v1/accounts", `{"id":"x"}`},
		{"POST", "/admin/v1/accounts/default/topups", `{"amount":1}`},
		{"POST", "/sdk/api-keys", `{"name":"d"}`},
		{"PUT", "/sdk/api-keys/" + id, `{"name":"e"}`},
		{"DELETE", "/sdk/api-keys/" + id, ""},
	} {
		got := s.call(c[0], c[1], s.admin, c[2], "Idempotency-Key", "k")
		if got.status != 503 || strings.Contains(got.body, "pk_") || strings.Contains(got.body, "disk") {
			t.Errorf("%v: %d %s", c, got.status, got.body)
		}
	}
	if len(ended) != 0 {
		t.Error("a revocation was told that is not durable")
	}
}

func TestAReplyWaitsUntilTheWriteIsDurable(t *testing.T) {
	gate := make(chan struct{})
	s, _ := onStore(t, gate)
	var replied atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		s.call("POST", "/admin/v1/accounts", s.admin, `{"id":"x"}`).want(201)
		replied.Store(true)
	})
	waitFor(t, func() bool { _, made := s.ledger.Account("x"); return made })
	time.Sleep(20 * time.Millisecond) // the reply had time to come too early
	if replied.Load() {
		t.Error("the reply came before the disk had the account")
	}
	close(gate)
	done.Wait()
}

func TestTheLogTellsWhoDidWhatAndNoKey(t *testing.T) {
	var log lockedBuffer
	s := newServer(t, WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a"}`).want(201)
	rotated := s.call("POST", "/admin/v1/keys/"+made.text("id")+"/rotate", s.admin, "").want(200)
	s.call("POST", "/admin/v1/keys/lookup", s.admin, `{"key":"`+made.text("key")+`"}`).want(200)
	s.call("GET", "/admin/v1/keys/"+made.text("key"), s.admin, "").want(404)
	s.call("GET", "/admin/v1/keys", made.text("key")+"x", "").want(401)
	s.call("DELETE", "/admin/v1/keys/"+made.text("id"), s.admin, "").want(200)
	text := log.String()
	for _, what := range []string{"key created", "key rotated", "key revoked", made.text("id")} {
		if !strings.Contains(text, what) {
			t.Errorf("the log does not tell %q: %s", what, text)
		}
	}
	for _, secret := range []string{s.admin, made.text("key"), rotated.text("key")} {
		if strings.Contains(text, secret[16:40]) {
			t.Errorf("the log holds a key: %s", text)
		}
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
