package httplimit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limiter"
)

// clock is a clock that a test moves.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) Monotonic() time.Duration { return time.Hour + time.Duration(c.nanoseconds.Load()) }
func (c *clock) Wall() time.Time {
	return time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.nanoseconds.Load()))
}

// user names a client by a header, as a program with users of its own does.
func user(r *http.Request) string { return r.Header.Get("User") }

// ask makes a request to a handler behind a real server.
func ask(t *testing.T, server *httptest.Server, name string) (status int, header http.Header, body string) {
	t.Helper()
	request, err := http.NewRequest("GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User", name)
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })

func TestAClientGetsItsLimitInAnyMinute(t *testing.T) {
	moving := new(clock)
	server := serve(t, New(2, user, WithLimiter(limiter.New(limiter.WithClock(moving))))(ok))
	for want := range 2 {
		status, header, _ := ask(t, server, "ada")
		if status != 200 || header.Get("RateLimit-Limit") != "2" || header.Get("RateLimit-Remaining") != string(rune('1'-want)) || header.Get("Retry-After") != "" {
			t.Fatalf("request %d: %d %v", want+1, status, header)
		}
		moving.nanoseconds.Add(int64(10 * time.Second))
	}
	status, header, body := ask(t, server, "ada")
	if status != 429 || header.Get("Retry-After") != "40" || header.Get("RateLimit-Remaining") != "0" || header.Get("RateLimit-Reset") != "50" || !strings.Contains(body, "2 requests a minute") {
		t.Fatalf("the third: %d %v %q", status, header, body)
	}
	if status, _, _ := ask(t, server, "eve"); status != 200 {
		t.Errorf("another client: %d", status)
	}
	moving.nanoseconds.Add(int64(40*time.Second - time.Millisecond))
	if status, _, _ := ask(t, server, "ada"); status != 429 {
		t.Errorf("a millisecond early: %d", status)
	}
	moving.nanoseconds.Add(int64(time.Millisecond))
	if status, _, _ := ask(t, server, "ada"); status != 200 {
		t.Errorf("when it was told to come: %d", status)
	}
}

func TestADayAndRequestsAtOnceAreLimitedToo(t *testing.T) {
	running, leave := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		running <- struct{}{}
		<-leave
	})
	counters := limiter.New(limiter.WithClock(new(clock)))
	server := serve(t, New(100, user, WithDay(3), WithMaxInFlight(1), WithLimiter(counters))(slow))
	for i := range 3 { // the second time shows that the end of the first was seen
		var one sync.WaitGroup
		one.Go(func() { ask(t, server, "ada") })
		<-running
		if status, header, body := ask(t, server, "ada"); i < 2 && (status != 429 || header.Get("Retry-After") == "" || !strings.Contains(body, "1 requests at once")) {
			t.Errorf("while one runs: %d %v %q", status, header, body)
		}
		leave <- struct{}{}
		one.Wait()
	}
	if status, header, body := ask(t, server, "ada"); status != 429 || header.Get("Retry-After") != "43200" || !strings.Contains(body, "3 requests a day") {
		t.Errorf("after the day's last: %d %v %q", status, header, body)
	}
}

func TestAHandlerThatPanicsIsNotInFlightForever(t *testing.T) {
	handler := New(100, user, WithMaxInFlight(1))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 3 {
		answer := httptest.NewRecorder()
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("refused with %d", answer.Code)
				}
			}()
			handler.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
		}()
	}
}

func TestRequestsOfNobodyShareOneLimit(t *testing.T) {
	server := serve(t, New(1, user)(ok))
	for i, test := range []struct {
		name string
		want int
	}{{"", 200}, {"", 429}, {"unknown", 200}} {
		if status, _, _ := ask(t, server, test.name); status != test.want {
			t.Errorf("request %d: %d, want %d", i+1, status, test.want)
		}
	}
}

// away is a limiter that cannot count.
type away struct{}

func (away) Reserve(context.Context, limiter.Request) (limiter.Decision, error) {
	return limiter.Decision{}, errors.New("away")
}
func (away) Settle(context.Context, limiter.Handle, limiter.Tokens) error { return nil }

func TestNothingPassesThatCannotBeCounted(t *testing.T) {
	server := serve(t, New(1, user, WithLimiter(away{}))(ok))
	if status, header, body := ask(t, server, "ada"); status != 503 || header.Get("Retry-After") != "1" || strings.Contains(body, "away") {
		t.Errorf("%d %v %q", status, header, body)
	}
}

func TestARefusalCanHaveAShapeOfItsOwn(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request, refusal limiter.Refusal) {
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, refusal.Rule.String())
	}
	server := serve(t, New(1, user, WithRefusal(answer))(ok))
	ask(t, server, "ada")
	if status, header, body := ask(t, server, "ada"); status != 418 || body != "rpm" || header.Get("Retry-After") == "" {
		t.Errorf("%d %v %q", status, header, body)
	}
}

func TestLimitsThatAdmitNobodyAreRefusedAtOnce(t *testing.T) {
	for name, build := range map[string]func(){
		"0 requests a minute":   func() { New(0, ByAddress) },
		"client is nil":         func() { New(1, nil) },
		"-1 requests a day":     func() { New(1, ByAddress, WithDay(-1)) },
		"-1 requests in flight": func() { New(1, ByAddress, WithMaxInFlight(-1)) },
		"-7 requests a minute":  func() { New(-7, ByAddress) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, name) {
					t.Errorf("%s: panics with %q", name, text)
				}
			}()
			build()
		}()
	}
}
