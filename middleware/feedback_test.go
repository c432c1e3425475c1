package middleware_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

func TestATrustedUpstreamsTimeReplacesTheMeasuredOne(t *testing.T) {
	for _, test := range []struct {
		name, value string
		trailer     bool
		trusted     bool
		want        time.Duration // 0: what the gate measured
	}{
		{"header", "3", false, true, 3 * time.Millisecond},
		{"fraction", "2.5", false, true, 2500 * time.Microsecond},
		{"trailer", "4", true, true, 4 * time.Millisecond},
		{"not trusted", "3", false, false, 0},
		{"more than was seen", "86400000", false, true, 0},
		{"negative", "-3", false, true, 0},
		{"not a number", "NaN", false, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := build(t, chat, ledger.NewKey{})
			h.wrap(func(w http.ResponseWriter, r *http.Request) {
				middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "a", Kind: "penstock", Trusted: test.trusted})
				time.Sleep(8 * time.Millisecond)
				if test.trailer {
					w.Header().Set("Trailer", "X-Inference-Ms")
				} else {
					w.Header().Set("X-Inference-Ms", test.value)
				}
				io.WriteString(w, chatReply)
				if test.trailer {
					w.Header().Set("X-Inference-Ms", test.value)
				}
			})
			got := h.post("/v1/chat/completions", plainBody)
			report := h.reports.nth(t, 1)
			if test.want != 0 && report.Compute != test.want || test.want == 0 && (report.Compute < 8*time.Millisecond || report.Compute > time.Second) {
				t.Errorf("charged %s", report.Compute)
			}
			if got.header.Get("X-Inference-Ms") != "" || got.trailer.Get("X-Inference-Ms") != "" || report.Upstream.Address != "a" {
				t.Errorf("the client sees %v %v", got.header, got.trailer)
			}
		})
	}
}

func TestAHandlerOfOnesOwnReportsItsUsage(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		call, ok := middleware.CallFrom(r.Context())
		if !ok || call.KeyID != h.key.ID || call.Model != "/summarize" || call.OutputTokens != 200 || call.Operation != "custom" {
			t.Errorf("%+v %v", call, ok)
		}
		middleware.ReportUsage(r.Context(), middleware.Usage{InputTokens: 10, OutputTokens: 999, Duration: time.Microsecond})
		io.Copy(w, r.Body)
	}, middleware.WithMetered("/summarize", ledger.Quantity{InputTokens: 100, OutputTokens: 200}))
	if got := h.post("/summarize", "any text"); got.status != 200 || got.body != "any text" {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 10, 200, true) // never beyond the hold
}

func TestAPolicySeesTheCall(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		call, ok := middleware.CallFrom(r.Context())
		if !ok || call.Model != "tiny" || call.UpstreamModel != "org/tiny" || !call.Stream || call.Operation != "chat" ||
			string(call.Prompt) != `[{"role":"user","content":"hi"}]` || call.OutputTokens != 50 || call.InputTokens == 0 || call.Deadline.IsZero() {
			t.Errorf("%+v", call)
		}
		chat(w, r)
	}, middleware.WithModels(middleware.Model{Name: "tiny", UpstreamName: "org/tiny"}))
	h.post("/v1/chat/completions", streamBody)
}

// attempts counts what an upstream's observer is told.
type attempts struct {
	answered, failed int
	busy             time.Duration
}

func (a *attempts) Answered() { a.answered++ }
func (a *attempts) Failed()   { a.failed++ }

func (a *attempts) Busy(wait time.Duration) { a.busy += wait }

func TestAPolicyLearnsHowItsUpstreamsServe(t *testing.T) {
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    attempts
	}{
		{"answers", chat, attempts{answered: 1}},
		{"refuses", answer(http.StatusBadRequest), attempts{answered: 1}},
		{"has an error", answer(http.StatusInternalServerError), attempts{answered: 1}},
		{"is busy for a time", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		}, attempts{busy: 7 * time.Second}},
		{"is busy", answer(http.StatusTooManyRequests), attempts{answered: 1}},
		{"cannot serve", answer(http.StatusServiceUnavailable), attempts{failed: 1}},
		{"is not reached", func(_ http.ResponseWriter, r *http.Request) {
			middleware.ReportFailure(r.Context(), http.StatusBadGateway, io.ErrUnexpectedEOF)
		}, attempts{failed: 1}},
		{"is not reached, another answers", func(w http.ResponseWriter, r *http.Request) {
			if failed := middleware.NoteRetry(r.Context()); failed.Address != "a" {
				t.Errorf("%q was noted before", failed.Address)
			}
			chat(w, r)
		}, attempts{failed: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := build(t, chat, ledger.NewKey{})
			var got attempts
			h.wrap(func(w http.ResponseWriter, r *http.Request) {
				if first := middleware.NoteRetry(r.Context()); first.Address != "" {
					t.Errorf("%q was noted before anything was chosen", first.Address)
				}
				middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "a", Observer: &got})
				test.handler(w, r)
			})
			h.post("/v1/chat/completions", plainBody)
			if got != test.want {
				t.Errorf("the policy learns %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestACallerThatLeavesSaysNothingOfTheUpstream(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	var got attempts
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "a", Observer: &got})
		<-r.Context().Done()
		w.WriteHeader(499) // as Caddy's proxy does
	}, middleware.WithHoldTimeout(10*time.Millisecond))
	h.post("/v1/chat/completions", plainBody)
	if got != (attempts{}) {
		t.Errorf("the policy learns %+v", got)
	}
}

// lease records what the gate says about an attempt.
type lease struct {
	name   string
	log    *[]string
	tokens int64
}

func (l *lease) note(what string)   { *l.log = append(*l.log, l.name+" "+what) }
func (l *lease) Answered()          { l.note("answered") }
func (l *lease) Failed()            { l.note("failed") }
func (l *lease) Busy(time.Duration) { l.note("busy") }
func (l *lease) FirstByte()         { l.note("first byte") }
func (l *lease) Release(tokens int64) {
	l.note("released")
	l.tokens = tokens
}

func TestALeaseIsReleasedOnceHoweverAnAttemptEnds(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    []string
	}{
		"answers": {chat, []string{"a first byte", "a answered", "a released"}},
		"refuses": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, "{}")
		}, []string{"a answered", "a released"}},
		"is not reached": {func(_ http.ResponseWriter, r *http.Request) {
			middleware.ReportFailure(r.Context(), http.StatusBadGateway, io.ErrUnexpectedEOF)
		}, []string{"a failed", "a released"}},
		"panics": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, []string{"a failed", "a released"}},
		"writes nothing": {func(http.ResponseWriter, *http.Request) {}, []string{"a failed", "a released"}},
	} {
		for _, retried := range []bool{false, true} {
			var log []string
			last := &lease{name: "a", log: &log}
			h := build(t, chat, ledger.NewKey{})
			h.wrap(func(w http.ResponseWriter, r *http.Request) {
				if retried {
					middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "b", Observer: &lease{name: "b", log: &log}})
					middleware.NoteRetry(r.Context())
				}
				if !middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "a", Observer: last}) {
					t.Error("nobody will release the lease")
				}
				test.handler(w, r)
			})
			request, err := http.NewRequest("POST", h.gateway.URL+"/v1/chat/completions", strings.NewReader(streamBody))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+h.text)
			if response, err := http.DefaultClient.Do(request); err == nil {
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			h.reports.nth(t, 1)
			want := test.want
			if retried {
				want = append([]string{"b failed", "b released"}, want...)
			}
			if !slices.Equal(log, want) {
				t.Errorf("%s, retried %v: %q, want %q", name, retried, log, want)
			}
			if (last.tokens > 0) != (name == "answers") {
				t.Errorf("%s: released with %d tokens of an answer", name, last.tokens)
			}
		}
	}
	if middleware.NoteUpstream(context.Background(), middleware.Upstream{}) {
		t.Error("outside the gate someone would release a lease")
	}
}

func TestAnUpstreamThatIsNotedInPlaceOfAnotherReleasesThat(t *testing.T) {
	var log []string
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"a", "b"} {
			middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: name, Observer: &lease{name: name, log: &log}})
		}
		chat(w, r)
	})
	h.post("/v1/chat/completions", streamBody)
	if want := []string{"a released", "b first byte", "b answered", "b released"}; !slices.Equal(log, want) {
		t.Errorf("%q, want %q", log, want)
	}
}
