package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/admintest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

func sha256Of(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func TestKeysComeInEveryHeaderThatClientsUse(t *testing.T) {
	s := newServer(t)
	for _, header := range [][2]string{
		{"Authorization", "Bearer " + s.Admin},
		{"Authorization", "bearer " + s.Admin},
		{"Authorization", "Token " + s.Admin},
		{"Authorization", "token " + s.Admin},
		{"X-Api-Key", s.Admin},
		{"Api-Key", s.Admin},
	} {
		s.Call("GET", "/admin/v1/keys", "", "", header[0], header[1]).Want(200)
	}
	s.Call("GET", "/admin/v1/keys", "", "", "Authorization", "Basic "+s.Admin).Want(401)
}

func TestAKeyIsHeldToItsNetworksHereToo(t *testing.T) {
	address := netip.MustParseAddr("10.1.2.3")
	s := newServer(t, WithClientAddress(func(*http.Request) netip.Addr { return address }))
	bound := s.Mint(ledger.NewKey{Name: "a", Role: ledger.RoleAdmin, AllOwners: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	s.Call("GET", "/admin/v1/keys", bound, "").Want(200)
	address = netip.MustParseAddr("::ffff:10.1.2.3")
	s.Call("GET", "/admin/v1/keys", bound, "").Want(200)
	for _, outside := range []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), {}} {
		address = outside
		if got := s.Call("GET", "/admin/v1/keys", bound, "").Want(403); got.ErrorCode() != "network_not_allowed" {
			t.Error(got.Body)
		}
	}
}

func TestUnknownExpiredAndRevokedKeysLookTheSame(t *testing.T) {
	s := newServer(t)
	expired := s.Mint(ledger.NewKey{Name: "a", Role: ledger.RoleAdmin, ExpiresAt: s.Clock().Add(time.Minute)})
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"b","role":"admin"}`).Want(201)
	s.Call("DELETE", "/admin/v1/keys/"+made.Text("id"), s.Admin, "").Want(200)
	s.Advance(time.Hour)
	var bodies []string
	for _, key := range []string{"", "nonsense", expired, made.Text("key")} {
		got := s.Call("GET", "/admin/v1/keys", key, "").Want(401)
		bodies = append(bodies, strings.ReplaceAll(got.Body, got.Header.Get("X-Request-Id"), "ID"))
	}
	for _, body := range bodies[1:] {
		if body != bodies[0] {
			t.Errorf("%s differs from %s", body, bodies[0])
		}
	}
}

func TestTheConfiguredKeyManagesAllOwners(t *testing.T) {
	const text = "correct horse battery staple"
	s := newServer(t, WithAdminKeySHA256(sha256Of(text)))
	s.Call("POST", "/admin/v1/keys", text, `{"name":"first","role":"admin","all_owners":true}`).Want(201)
	s.Call("GET", "/admin/v1/keys", text+"x", "").Want(401)
}

func TestFailuresToAuthenticateAreThrottledByAddress(t *testing.T) {
	s := newServer(t)
	for range rest.FailureBurst {
		s.Call("GET", "/admin/v1/keys", "wrong", "").Want(401)
	}
	got := s.Call("GET", "/admin/v1/keys", "wrong", "").Want(429)
	if got.ErrorCode() != "too_many_failures" || got.Header.Get("Retry-After") != "6" || got.Number("retry_after_ms") != 6000 {
		t.Errorf("%v %s", got.Header, got.Body)
	}
	s.Advance(rest.FailureInterval)
	s.Call("GET", "/admin/v1/keys", "wrong", "").Want(401)
	s.Call("GET", "/admin/v1/keys", "wrong", "").Want(429)
}

func TestAValidKeyPassesHoweverManyOthersFailed(t *testing.T) {
	const configured = "correct horse battery staple"
	s := newServer(t, WithAdminKeySHA256(sha256Of(configured)))
	member := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"member"}`).Want(201).Text("key")
	for range 2 * rest.FailureBurst {
		s.Call("GET", "/admin/v1/keys", "wrong", "")
	}
	s.Call("GET", "/admin/v1/keys", "wrong", "").Want(429)
	s.Call("GET", "/admin/v1/keys", s.Admin, "").Want(200)
	s.Call("GET", "/admin/v1/keys", configured, "").Want(200)
	s.Call("GET", "/admin/v1/me", member, "").Want(200)
}

func TestWhatAKeyMayNotDoIsNoFailureToAuthenticate(t *testing.T) {
	s := newServer(t)
	member := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"member"}`).Want(201).Text("key")
	for range 2 * rest.FailureBurst {
		s.Call("GET", "/admin/v1/keys", member, "").Want(403)
	}
	s.Call("GET", "/admin/v1/me", "pk_m_wrong", "").Want(401)
}

func TestCallsWithoutAKeyAreNotThrottled(t *testing.T) {
	s := newServer(t)
	for range 2 * rest.FailureBurst {
		s.Call("GET", "/admin/v1/me", "", "").Want(401)
	}
	for range rest.FailureBurst {
		s.Call("GET", "/admin/v1/me", "pk_m_wrong", "").Want(401)
	}
	s.Call("GET", "/admin/v1/me", "pk_m_wrong", "").Want(429)
	s.Call("GET", "/admin/v1/me", "", "").Want(401)
}

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
	open := make(chan struct{})
	close(open)
	store := &faultyStore{Store: admintest.OpenStore(t), gate: open}
	s := &server{Server: admintest.Over(t, store)}
	s.Admin = s.Mint(ledger.NewKey{Name: "root", Role: ledger.RoleAdmin, AllOwners: true})
	if gate != nil {
		store.gate = gate
	}
	s.handler = New(s.Ledger, s.Limiter, options...)
	s.Serve(s.handler)
	t.Cleanup(func() { _ = s.Ledger.Close(context.Background()) }) // fails where the test broke the store
	return s, store
}

func TestAWriteThatFailsIsNeverAcknowledgedAndShowsNoKey(t *testing.T) {
	ended := make(chan string, 10)
	s, store := onStore(t, nil, WithRevoked(func(id string) { ended <- id }))
	id := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201).Text("id")
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
		got := s.Call(c[0], c[1], s.Admin, c[2], "Idempotency-Key", "k")
		if got.Status != 503 || strings.Contains(got.Body, "pk_") || strings.Contains(got.Body, "disk") {
			t.Errorf("%v: %d %s", c, got.Status, got.Body)
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
		s.Call("POST", "/admin/v1/accounts", s.Admin, `{"id":"x"}`).Want(201)
		replied.Store(true)
	})
	testkit.Eventually(t, "the account is made", func() bool { _, made := s.Ledger.Account("x"); return made })
	time.Sleep(20 * time.Millisecond) // the reply had time to come too early
	if replied.Load() {
		t.Error("the reply came before the disk had the account")
	}
	close(gate)
	done.Wait()
}

func TestTheLogTellsWhoDidWhatAndNoKey(t *testing.T) {
	var log testkit.Buffer
	s := newServer(t, WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201)
	rotated := s.Call("POST", "/admin/v1/keys/"+made.Text("id")+"/rotate", s.Admin, "").Want(200)
	s.Call("POST", "/admin/v1/keys/lookup", s.Admin, `{"key":"`+made.Text("key")+`"}`).Want(200)
	s.Call("GET", "/admin/v1/keys/"+made.Text("key"), s.Admin, "").Want(404)
	s.Call("GET", "/admin/v1/keys", made.Text("key")+"x", "").Want(401)
	s.Call("DELETE", "/admin/v1/keys/"+made.Text("id"), s.Admin, "").Want(200)
	text := log.String()
	for _, what := range []string{"key created", "key rotated", "key revoked", made.Text("id")} {
		if !strings.Contains(text, what) {
			t.Errorf("the log does not tell %q: %s", what, text)
		}
	}
	for _, secret := range []string{s.Admin, made.Text("key"), rotated.Text("key")} {
		if strings.Contains(text, secret[16:40]) {
			t.Errorf("the log holds a key: %s", text)
		}
	}
}
