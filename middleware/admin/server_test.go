package admin

import (
	"context"
	"encoding/json"
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
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the handler over a real ledger on disk, behind a real listener.
type server struct {
	t       testing.TB
	ledger  *ledger.Ledger
	limiter *limiter.Memory
	handler *Handler
	url     string
	admin   string // text of a key for all owners
	member  string // text of a member's key of the owner default
	client  *http.Client

	mu  sync.Mutex
	now time.Time
}

func newServer(t testing.TB, options ...Option) *server {
	t.Helper()
	s := &server{t: t, now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	store, err := sqlitestore.Open(context.Background(), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	s.ledger, err = ledger.Open(context.Background(), store, ledger.WithClock(s.clock))
	if err != nil {
		t.Fatal(err)
	}
	s.admin = s.mint(ledger.NewKey{Name: "root", Role: ledger.RoleAdmin, AllOwners: true})
	s.member = s.mint(ledger.NewKey{Name: "member"})
	s.limiter = limiter.New()
	s.handler = New(s.ledger, s.limiter, append([]Option{WithClock(s.clock)}, options...)...)
	listener := httptest.NewServer(s.handler)
	s.url, s.client = listener.URL, listener.Client()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		listener.Close()
		if err := s.limiter.Close(); err != nil {
			t.Error(err)
		}
		if err := s.ledger.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *server) advance(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(by)
}

// mint makes a key behind the handler's back.
func (s *server) mint(request ledger.NewKey) string {
	s.t.Helper()
	_, secret, err := s.ledger.CreateKey(context.Background(), request)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret.Reveal()
}

// reply is what came back.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// call makes a request with a bearer key. Headers come as name, value pairs.
func (s *server) call(method, path, key, body string, headers ...string) reply {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	r := reply{s.t, response.StatusCode, response.Header, string(content)}
	s.conforms(method, path, r)
	return r
}

// want stops the test if the status is another one.
func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// fields returns the body as an object.
func (r reply) fields() map[string]any {
	r.t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.body), &object); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
	return object
}

func (r reply) text(name string) string {
	r.t.Helper()
	text, _ := r.fields()[name].(string)
	return text
}

func (r reply) number(name string) float64 {
	r.t.Helper()
	n, _ := r.fields()[name].(float64)
	return n
}

func (r reply) list(name string) []any {
	r.t.Helper()
	list, _ := r.fields()[name].([]any)
	return list
}

func (r reply) object(name string) map[string]any {
	r.t.Helper()
	object, _ := r.fields()[name].(map[string]any)
	return object
}

func (r reply) errorCode() string {
	r.t.Helper()
	code, _ := r.object("error")["code"].(string)
	return code
}
