package middleware_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

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
		"a length that is too short": {upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" + chatReply), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"two lengths":                {upstream: raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"no HTTP":                    {upstream: raw("hello\r\n\r\n"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"a chunk without an end":     {upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"choices\":[{}],x"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"a stream in chunks, cut":    {upstream: raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: [D\r\n"), stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "event: error"},
		"a protocol change":          {upstream: raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"hints, then an answer":      {upstream: raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + chatReply), status: 200, outcome: ledger.OutcomeOK, says: "four"},
		"no content":                 {upstream: raw("HTTP/1.1 204 No Content\r\n\r\n"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
		"no content, but packed":     {upstream: raw("HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n"), status: 502, outcome: ledger.OutcomeUpstreamFailed},
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
		}, stream: true, status: 200, outcome: ledger.OutcomeUpstreamFailed, says: "the upstream failed before the answer was complete"},
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

func TestTheTextOfAFailureIsPassedOnOnlyFromATrustedUpstream(t *testing.T) {
	const secret = "Traceback at /srv/models"
	stream := func(event string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, wordEvent+event+doneEvent)
		}
	}
	reply := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		upstream http.HandlerFunc
		body     string
		always   bool // what is wrong with the call is always passed on
	}{
		"500":                   {reply(500, `{"error":{"message":"`+secret+`"}}`), plainBody, false},
		"500 as text":           {reply(500, secret), plainBody, false},
		"503":                   {reply(503, `{"detail":"`+secret+`"}`), plainBody, false},
		"400":                   {reply(400, `{"error":{"message":"`+secret+`"}}`), plainBody, true},
		"200":                   {reply(200, `{"error":{"message":"`+secret+`"}}`), plainBody, false},
		"200, of the call":      {reply(200, `{"error":{"message":"`+secret+`","code":400}}`), plainBody, true},
		"an event":              {stream(`data: {"error":{"message":"` + secret + `","code":500}}` + "\n\n"), streamBody, false},
		"an event, of the call": {stream(`data: {"error":{"message":"` + secret + `","type":"BadRequestError","code":400}}` + "\n\n"), streamBody, true},
		"an event of TGI":       {stream(`data: {"error":"` + secret + `","error_type":"generation"}` + "\n\n"), streamBody, false},
		"TGI's, of the call":    {stream(`data: {"error":"` + secret + `","error_type":"validation"}` + "\n\n"), streamBody, true},
		"500 on a priced path":  {reply(500, secret), "", false},
		"400 on a priced path":  {reply(400, secret), "", true},
	} {
		for _, trusted := range []bool{false, true} {
			h := build(t, chat, ledger.NewKey{})
			h.wrap(func(w http.ResponseWriter, r *http.Request) {
				middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "a", Trusted: trusted})
				test.upstream(w, r)
			}, middleware.WithFixedCost("/priced", 1))
			path := "/v1/chat/completions"
			if test.body == "" {
				path = "/priced"
			}
			got := h.post(path, test.body)
			if passed := strings.Contains(got.body, secret); passed != (trusted || test.always) {
				t.Errorf("%s, trusted %t: %d %s", name, trusted, got.status, got.body)
			}
			if !strings.Contains(got.body, "error") {
				t.Errorf("%s, trusted %t: no error in %q", name, trusted, got.body)
			}
		}
	}
}

func TestAnUpstreamsWaitIsPassedOn(t *testing.T) {
	for _, test := range []struct {
		header, value string
		seconds       string
		should        string
	}{
		{"Retry-After", "7", "7", ""},
		{"Retry-After", "7.5", "8", ""},
		{"Retry-After-Ms", "1500", "2", ""},
		{"Retry-After", time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat), "", "false"},
		{"Retry-After", "3600", "3600", "false"},
		{"Retry-After", "-5", "", ""},
	} {
		for _, body := range []string{`{"error":{"message":"slow down"}}`, "slow down"} {
			h := build(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(test.header, test.value)
				w.WriteHeader(429)
				io.WriteString(w, body)
			}, ledger.NewKey{})
			got := h.post("/v1/chat/completions", plainBody)
			wait, _ := strconv.Atoi(got.header.Get("Retry-After"))
			if got.status != 429 || test.seconds != "" && strconv.Itoa(wait) != test.seconds || got.header.Get("X-Should-Retry") != test.should {
				t.Errorf("%s %s: %d %v", test.header, test.value, got.status, got.header)
			}
			if test.should == "false" && wait < 80 || (wait > 0) != (got.header.Get("Retry-After-Ms") != "") {
				t.Errorf("%s %s: %v", test.header, test.value, got.header)
			}
			if execute := h.post("/api/v2/execute/tiny", `{"text":"x"}`); execute.status != 497 || execute.header["Retry-After"] != nil ||
				strings.Contains(execute.body, `"retry_after_ms":`) != (wait > 0) {
				t.Errorf("aiXplain, %s %s: %d %s %v", test.header, test.value, execute.status, execute.body, execute.header)
			}
		}
	}
}
