package middleware_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// The last event of the Responses API repeats the request's instructions and
// tools, and the text of the answer comes four times.
func TestAResponsesStreamWithALongEndIsWhole(t *testing.T) {
	var stream strings.Builder
	for range 40 {
		stream.WriteString("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"word\"}\n\n")
	}
	fmt.Fprintf(&stream, "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"%s\"}\n\n", strings.Repeat("word", 400))
	fmt.Fprintf(&stream, "event: response.completed\ndata: {\"response\":{\"instructions\":\"%s\",\"usage\":{\"input_tokens\":9,\"output_tokens\":40}},\"type\":\"response.completed\"}\n\n",
		strings.Repeat("x", 200<<10))
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, stream.String())
	}, ledger.NewKey{})
	got := h.post("/v1/responses", `{"model":"tiny","stream":true,"max_output_tokens":50,"input":"hi"}`)
	if got.body != stream.String() {
		t.Errorf("%d bytes came, ending in %q; %d were sent", len(got.body), got.body[max(0, len(got.body)-300):], stream.Len())
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 9, 40, true)
}

// forgetfulLimiter loses its store while calls run.
type forgetfulLimiter struct{ *limiter.Memory }

func (l forgetfulLimiter) Settle(ctx context.Context, handle limiter.Handle, actual limiter.Tokens) error {
	return errors.Join(errors.New("the store is away"), l.Memory.Settle(ctx, handle, actual))
}

func TestAnAnswerThatIsChargedIsNotWithheldForTheLimiter(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	old := h.gateway.Config.Handler
	h.gateway.Config.Handler = middleware.New(h.ledger, forgetfulLimiter{h.limiter})(http.HandlerFunc(chat))
	defer func() { h.gateway.Config.Handler = old }()
	if got := h.post("/v1/chat/completions", plainBody); got.status != 200 || got.body != chatReply {
		t.Errorf("%d %s", got.status, got.body)
	}
	if h.account().Spent == 0 {
		t.Error("nothing was charged")
	}
}

// The gate has read the whole body and sends one of its own: what the caller said
// of how its body comes is over.
func TestHowABodyCameGoesNoFurther(t *testing.T) {
	var seen http.Header
	var trailer http.Header
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		seen, trailer = r.Header.Clone(), r.Trailer.Clone()
		chat(w, r)
	})
	request, err := http.NewRequest("POST", h.gateway.URL+"/v1/chat/completions", io.MultiReader(strings.NewReader(plainBody)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {"Bearer " + h.text}, "Expect": {"100-continue"}}
	request.Trailer = http.Header{"X-Late": {"yes"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if response.StatusCode != 200 || seen["Expect"] != nil || len(trailer) != 0 {
		t.Errorf("%d; the upstream is told %v and %v", response.StatusCode, seen, trailer)
	}
}

// The handlers around a gate read the first answer's headers, for their logs,
// while the run goes on.
func TestABackgroundRunDoesNotWriteToItsFirstAnswer(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 5}}})
	var hours time.Duration // that the gate's clock is ahead
	gate := middleware.New(h.ledger, h.limiter, middleware.WithDialect(dialect.Anthropic), middleware.WithObserver(h.reports),
		middleware.WithClock(func() time.Time { return time.Now().Add(hours * time.Hour) }))
	stage := make(chan struct{})
	handler := gate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-stage
		hours = 1
		chat(w, r)
	}))
	request := httptest.NewRequest("POST", "/api/v1/execute/tiny", strings.NewReader(`{"data":"Hello"}`))
	request.Header.Set("X-Api-Key", h.text)
	first := httptest.NewRecorder()
	handler.ServeHTTP(first, request)
	reset := first.Header().Get("Anthropic-Ratelimit-Requests-Reset")
	close(stage)
	h.reports.nth(t, 1)
	if now := first.Header().Get("Anthropic-Ratelimit-Requests-Reset"); reset == "" || now != reset {
		t.Errorf("the first answer said %q, and says %q now", reset, now)
	}
}

func TestAnUpstreamThatStreamsUnaskedIsNoAnswerToATranslatedCall(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, wordEvent+finishEvent+usageEvent+doneEvent)
	}, ledger.NewKey{})
	if got := h.post("/api/infer", `{"prompt":"hi"}`); got.status != 400 && got.status != 502 || strings.Contains(got.body, "data:") {
		t.Errorf("Aquin: %d %s", got.status, got.body)
	}
	if got := h.post("/api/v2/execute/tiny", `{"text":"hi"}`); got.status != 502 || strings.Contains(got.body, "data:") {
		t.Errorf("aiXplain: %d %s", got.status, got.body)
	}
	if got := h.post("/api/v2/execute/tiny", `{"text":"hi","stream":true}`); got.status != 200 || !strings.Contains(got.body, "[DONE]") {
		t.Errorf("aiXplain, asked for: %d %s", got.status, got.body)
	}
}

func TestARedirectOfAnUpstreamIsNoAnswer(t *testing.T) {
	for _, status := range []int{301, 304, 307} {
		h := build(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/v1/elsewhere")
			w.WriteHeader(status)
		}, ledger.NewKey{})
		got := h.post("/v1/chat/completions", plainBody)
		if got.status != 502 || got.header.Get("Location") != "" {
			t.Errorf("%d: %d %v", status, got.status, got.header)
		}
		h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageReported, 0, 0, false)
	}
}

func TestAHeadOfAPathWithAFixedCost(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Length", "1000")
		w.Write(bytes.Repeat([]byte("x"), 1000))
	}, middleware.WithFixedCost("/documents", 5))
	if got := h.do("HEAD", "/documents", "", "X-Api-Key", h.text); got.status != 200 || got.header.Get("Content-Length") != "1000" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := h.do("GET", "/documents", "", "X-Api-Key", h.text, "If-None-Match", "x"); got.status != 304 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if spent := h.account().Spent; spent != 10 {
		t.Errorf("%s spent", spent)
	}
}

func TestABodyThatIsTooLargeForAPathWithAFixedCost(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithFixedCost("/documents", 5), middleware.WithMaxBody(100))
	if got := h.post("/documents", strings.Repeat("x", 101)); got.status != 413 {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.untouched()
}

func TestAReportNamesNoModelThatIsNotKnown(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "small"}))
	if got := h.post("/v1/chat/completions", plainBody); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if report := h.reports.nth(t, 1); report.Model != "" {
		t.Errorf("the report names %q", report.Model)
	}
}

func TestAModelInAPathIsNoLongerThanOneInABody(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	if got := h.post("/api/v2/execute/"+strings.Repeat("x", 300), `{"text":"hi"}`); got.status != 404 {
		t.Errorf("%d %.200s", got.status, got.body)
	}
	h.untouched()
}

// packed returns the first part of a text in gzip.
func packed(text string, part float64) []byte {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	io.WriteString(writer, text)
	writer.Close()
	return buffer.Bytes()[:int(part*float64(buffer.Len()))]
}

// Whatever an upstream does, the call ends once, with an answer that says the
// truth, and charges no more than was held.
func TestHostileUpstreams(t *testing.T) {
	usage := func(text string) string {
		return strings.Replace(chatReply, `{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}`, text, 1)
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer connection.Close()
			io.WriteString(connection, text)
		}
	}
	for name, test := range map[string]struct {
		upstream http.HandlerFunc
		stream   bool
		status   int
		outcome  ledger.Outcome
		says     string
	}{
		"a length that is too long":  {upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + chatReply), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"a length that is too short": {upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" + chatReply), status: 200, outcome: ledger.OutcomeOK},
		"two lengths":                {upstream: raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"no HTTP":                    {upstream: raw("hello\r\n\r\n"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"a chunk without an end":     {upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"choices\":[{}],x"), status: 200, outcome: ledger.OutcomeUpstreamFailed},
		"a stream in chunks, cut":    {upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: [D\r\n"), stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "event: error"},
		"a protocol change":          {upstream: raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"hints, then an answer":      {upstream: raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + chatReply), status: 200, outcome: ledger.OutcomeOK, says: "four"},
		"no content":                 {upstream: raw("HTTP/1.1 204 No Content\r\n\r\n"), status: 204, outcome: ledger.OutcomeOK},
		"no content, but packed":     {upstream: raw("HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n"), status: 204, outcome: ledger.OutcomeOK},
		"a packed stream, cut": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(packed(strings.Repeat(wordEvent, 40)+finishEvent+usageEvent+doneEvent, 0.6))
		}, stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "event: error"},
		"a packed stream with rubbish behind": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(append(packed(wordEvent+finishEvent+usageEvent+doneEvent, 1), "rubbish"...))
		}, stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "event: error"},
		"comments, CRLF and a BOM": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=UTF-8")
			io.WriteString(w, "\ufeff: hello\r\n\r\n"+strings.ReplaceAll(wordEvent+": ping\n\n"+finishEvent+usageEvent+doneEvent, "\n", "\r\n"))
		}, stream: true, status: 200, outcome: ledger.OutcomeOK, says: "[DONE]"},
		"no [DONE]": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, strings.ReplaceAll(wordEvent+finishEvent, `":`, `": `))
		}, stream: true, status: 200, outcome: ledger.OutcomeOK, says: "stop"},
		"no end": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, wordEvent)
		}, stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "event: error"},
		"an error mid-stream": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, wordEvent+"data: {\"error\": {\"message\":\"out of memory\"}}\n\n"+doneEvent)
		}, stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "out of memory"},
		"a line without end": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\""+strings.Repeat("x", 1<<20))
		}, stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "\n\nevent: error"},
		"endless talk after the end": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, wordEvent+finishEvent+usageEvent+doneEvent+strings.Repeat(": ping\n\n", 1<<16))
		}, stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "event: error"},
		"a trailer that names a charge": {upstream: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Trailer", "X-Penstock-Credits-Charged, X-Inference-Ms")
			io.WriteString(w, wordEvent+finishEvent+usageEvent+doneEvent)
			w.Header().Set("X-Penstock-Credits-Charged", "77")
			w.Header().Set("X-Inference-Ms", "99999999")
		}, stream: true, status: 200, outcome: ledger.OutcomeOK, says: "[DONE]"},
		"a trailer that names a charge, unannounced": {
			upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
				fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Penstock-Credits-Charged: 77\r\nX-Request-Id: theirs\r\n\r\n", len(finishEvent+usageEvent+doneEvent), finishEvent+usageEvent+doneEvent)),
			stream: true, status: 200, outcome: ledger.OutcomeOK, says: "[DONE]",
		},
		"usage of 2^62": {upstream: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, usage(`{"prompt_tokens":4611686018427387904,"completion_tokens":3}`))
		}, status: 200, outcome: ledger.OutcomeOK},
		"usage of 2^52": {upstream: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, usage(`{"prompt_tokens":4503599627370496,"completion_tokens":4503599627370496}`))
		}, status: 200, outcome: ledger.OutcomeOK},
		"negative usage": {upstream: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, usage(`{"prompt_tokens":-9,"completion_tokens":-3}`))
		}, status: 200, outcome: ledger.OutcomeOK},
		"usage in fractions": {upstream: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, usage(`{"prompt_tokens":9.5,"completion_tokens":"3"}`))
		}, status: 200, outcome: ledger.OutcomeOK},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, test.upstream, ledger.NewKey{})
			if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Input: 1000 * ledger.Credit, Output: 1000 * ledger.Credit}); err != nil {
				t.Fatal(err)
			}
			body := plainBody
			if test.stream {
				body = streamBody
			}
			got := h.post("/v1/chat/completions", body)
			if got.status != test.status || !strings.Contains(got.body, test.says) {
				t.Errorf("%d %v %.400q", got.status, got.header, got.body)
			}
			report := h.reports.nth(t, 1)
			if got.status == 200 && !test.stream && (got.readErr == nil) != (report.Outcome == ledger.OutcomeOK) {
				t.Errorf("%s, and the client saw %v", report.Outcome, got.readErr)
			}
			charged := "0.000000"
			if report.Outcome == ledger.OutcomeOK {
				charged = report.Charge.Amount.String()
			}
			if names := append(got.header["X-Penstock-Credits-Charged"], got.trailer["X-Penstock-Credits-Charged"]...); len(names) > 1 || len(names) == 1 && names[0] != charged && report.Outcome == ledger.OutcomeOK {
				t.Errorf("charged %s, the client is told %q", charged, names)
			}
			most := int64(len(body) + 64 + 50)
			if account := h.account(); report.Outcome != test.outcome || account.Held != 0 || account.Spent != report.Charge.Amount || int64(report.Charge.Amount) > most*1000 {
				t.Errorf("%s, charge %s of at most %d tokens; %+v", report.Outcome, report.Charge.Amount, most, account)
			}
		})
	}
}

// However a path is written, no call gets past the gate without a meter.
func TestHostileCallers(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) { t.Error("reached the upstream: " + r.URL.String()) }, ledger.NewKey{},
		middleware.WithModels(middleware.Model{Name: "tiny"}))
	bodies := map[string]string{
		"/v1/chat/completions": plainBody, "/v1/completions": `{"model":"tiny","prompt":"hi"}`, "/v1/embeddings": `{"model":"tiny","input":"hi"}`,
		"/v1/responses": `{"model":"tiny","input":"hi"}`, "/v1/messages": plainBody, "/api/infer": `{"model":"tiny","prompt":"hi"}`,
		"/api/v1/model": `{"model":"tiny","prompt":"hi"}`, "/api/generate": `{"model":"tiny","prompt":"hi"}`, "/api/chat": plainBody,
		"/api/embed": `{"model":"tiny","input":"hi"}`, "/completion": `{"prompt":"hi"}`, "/generate": `{"inputs":"hi"}`,
		"/generate_stream": `{"inputs":"hi"}`, "/api/v2/execute/tiny": `{"text":"hi"}`, "/api/v1/execute/tiny": `{"text":"hi"}`,
	}
	for path, body := range bodies {
		last := path[len(path)-1:]
		for _, written := range []string{
			"//" + path, path + "/", path + "//", "/." + path, "/x/.." + path, strings.ToUpper(path), path + "%00/", path + ";a=b/", path + "%2f",
			strings.TrimSuffix(path, last) + fmt.Sprintf("%%%x", last) + "/", strings.Replace(path, "/", "/%2e%2e/", 1),
		} {
			if got := h.post(written, body); got.status != 404 && got.status != 400 {
				t.Errorf("POST %s: %d %.200s", written, got.status, got.body)
			}
		}
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "post", "TRACE"} {
			if got := h.do(method, path, body, "X-Api-Key", h.text); got.status != 404 {
				t.Errorf("%s %s: %d %.200s", method, path, got.status, got.body)
			}
		}
		for _, hostile := range []string{
			`{"mod\u0065l":"big",` + body[1:], `{"model":"big","model":"tiny",` + body[1:], `{"max_tokens":1,"MAX_TOKENS":9,` + body[1:],
			`{"stre\u0061m":true,` + body[1:], body + body, "[" + body + "]", `{"n":1000000,` + body[1:], `{"x":` + strings.Repeat("[", 1000) + `,` + body[1:],
		} {
			got := h.post(path, hostile)
			if got.status != 400 && got.status != 404 {
				t.Errorf("%s with %.60s: %d %.200s", path, hostile, got.status, got.body)
			}
		}
	}
	h.untouched()
}
