package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

const countPath, countBody = "/v1/messages/count_tokens", `{"model":"tiny","system":"be brief","messages":[{"role":"user","content":"2+2?"}]}`

func TestTheUpstreamCountsTokensIfItCan(t *testing.T) {
	const own = `{"input_tokens":17}`
	likely := fmt.Sprintf(`{"input_tokens":%d}`, (len(countBody)+2)/3)
	var mutex sync.Mutex // a connection that is broken off orders nothing
	var status int
	var reply, seen string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mutex.Lock()
		defer mutex.Unlock()
		seen = r.URL.Path + " " + string(body)
		w.Header().Set("Content-Type", "application/json")
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		io.WriteString(w, reply)
	}, ledger.NewKey{Limits: []limits.Row{{TPM: 1}}}, middleware.WithModels(middleware.Model{Name: "tiny", UpstreamName: "org/tiny"}))
	for name, test := range map[string]struct {
		status int
		reply  string
		told   int
		want   string
	}{
		"counted":          {200, own, 200, own},
		"with more":        {200, `{"input_tokens":17,"context_management":{}}`, 200, `{"input_tokens":17,"context_management":{}}`},
		"no such path":     {404, `{"error":{"message":"Not Found"}}`, 200, likely},
		"no such method":   {405, ``, 200, likely},
		"not implemented":  {501, ``, 200, likely},
		"busy":             {503, ``, 200, likely},
		"no count":         {200, `{"tokens":17}`, 200, likely},
		"a negative count": {200, `{"input_tokens":-1}`, 200, likely},
		"no JSON":          {200, `<html>`, 200, likely},
		"too long":         {200, `{"x":"` + strings.Repeat("x", 70_000) + `"}`, 200, likely},
		"broken off":       {0, ``, 200, likely},
		"its credentials":  {401, `{"error":{"message":"bad key sk-1"}}`, 200, likely},
		"a refusal":        {400, `{"type":"error","error":{"type":"invalid_request_error","message":"messages: roles must alternate"}}`, 400, "roles must alternate"},
	} {
		mutex.Lock()
		status, reply = test.status, test.reply
		mutex.Unlock()
		got := h.post(countPath, countBody)
		if got.status != test.told || !strings.Contains(got.body, test.want) {
			t.Errorf("%s: %d %s, want %d %s", name, got.status, got.body, test.told, test.want)
		}
		mutex.Lock()
		if want := countPath + " " + strings.Replace(countBody, "tiny", "org/tiny", 1); seen != want {
			t.Errorf("%s: the upstream sees %s", name, seen)
		}
		mutex.Unlock()
	}
	h.untouched()
}

func TestCountingTokensIsFreeButARequest(t *testing.T) {
	h := build(t, http.NotFound, ledger.NewKey{Limits: []limits.Row{{RPM: 2, TPM: 1}}}, middleware.WithModels(middleware.Model{Name: "tiny"}, middleware.Model{Name: "other"}))
	poor, text := h.newKey(ledger.NewKey{Owner: "poor", Models: []string{"tiny"}}, 0)
	for range 2 {
		got := h.post(countPath, countBody)
		if got.status != 200 || got.header.Get("Anthropic-Ratelimit-Requests-Limit") != "2" {
			t.Fatalf("%d %s %v", got.status, got.body, got.header)
		}
	}
	if got := h.post(countPath, countBody); got.status != 429 || !strings.Contains(got.body, `"type":"rate_limit_error"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	for body, want := range map[string]int{countBody: 200, strings.Replace(countBody, "tiny", "other", 1): 403, strings.Replace(countBody, "tiny", "none", 1): 404, `{`: 400} {
		if got := h.do("POST", countPath, body, "X-Api-Key", text); got.status != want {
			t.Errorf("%s of a key without credit: %d %s", body, got.status, got.body)
		}
	}
	if account, _ := h.ledger.Account(poor.Owner); account.Held != 0 || account.Spent != 0 {
		t.Errorf("%+v", account)
	}
	if got := h.do("GET", countPath, "", "X-Api-Key", text); got.status != 405 {
		t.Errorf("GET: %d", got.status)
	}
	h.untouched()
}

func TestTheGateCountsByWhatSuchPromptsTookOfLate(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == countPath {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"type":"message","content":[{"type":"text","text":"four"}],"usage":{"input_tokens":20,"output_tokens":3}}`)
	}, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "tiny"}))
	if got := h.post("/v1/messages", strings.Replace(countBody, "{", `{"max_tokens":9,`, 1)); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	var count int
	got := h.post(countPath, countBody)
	if _, err := fmt.Sscanf(got.body, `{"input_tokens":%d}`, &count); err != nil || count < 15 || count > 23 {
		t.Errorf("%s, the prompt took 20 of late", got.body)
	}
}

func TestALeaseIsReleasedHoweverACountEnds(t *testing.T) {
	status := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"counts":       {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"input_tokens":17}`) }, "answered"},
		"no such path": {http.NotFound, "answered"},
		"is busy for a time": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "busy"},
		"cannot serve": {status(http.StatusServiceUnavailable), "failed"},
		"is not reached": {func(_ http.ResponseWriter, r *http.Request) {
			middleware.ReportFailure(r.Context(), http.StatusBadGateway, io.ErrUnexpectedEOF)
		}, "failed"},
		"breaks off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "failed"},
		"panics":     {func(http.ResponseWriter, *http.Request) { panic("a defect") }, "failed"},
	} {
		var log []string
		h := build(t, http.NotFound, ledger.NewKey{})
		h.wrap(func(w http.ResponseWriter, r *http.Request) {
			middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "b", Observer: &lease{name: "b", log: &log}})
			middleware.NoteRetry(r.Context())
			middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "a", Observer: &lease{name: "a", log: &log}})
			test.handler(w, r)
		})
		request := httptest.NewRequest("POST", countPath, strings.NewReader(countBody))
		request.Header.Set("Authorization", "Bearer "+h.text)
		func() {
			defer func() {
				if problem := recover(); (problem != nil) != (name == "panics") {
					t.Errorf("%s: a panic, %v", name, problem)
				}
			}()
			h.gateway.Config.Handler.ServeHTTP(httptest.NewRecorder(), request)
		}()
		if want := []string{"b failed", "b released", "a " + test.want, "a released"}; !slices.Equal(log, want) {
			t.Errorf("%s: %q, want %q", name, log, want)
		}
	}
}
