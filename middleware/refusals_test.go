package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect"
)

func TestRefusalsCanBeHandedOver(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 1}}})
	h.wrap(chat, middleware.WithErrorsPassthrough(func(w http.ResponseWriter, r *http.Request, refused middleware.Refused) {
		w.WriteHeader(refused.Status)
		fmt.Fprintf(w, "%s %s %d", refused.KeyID, refused.Refusal.Bound.Rule, refused.Refusal.RetryMilliseconds())
	}))
	h.post("/v1/chat/completions", plainBody)
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 429 || !strings.HasPrefix(got.body, h.key.ID+" rpm ") || got.header.Get("Retry-After") == "" || !strings.HasSuffix(got.body, " "+got.header.Get("Retry-After-Ms")) {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
}

func TestLimitsAreToldInEachDialect(t *testing.T) {
	for _, test := range []struct {
		path, body string
		limits     limits.Row
		status     int
		retry      bool
		text       string
	}{
		{"/v1/chat/completions", plainBody, limits.Row{RPM: 1}, 429, true, `"limit":{"rule":"rpm","scope":"key","limit":1,"used":1,"needed":1}`},
		{"/v1/chat/completions", plainBody, limits.Row{RPM: 1, Model: "tiny"}, 429, true, `"scope":"model","model":"tiny"`},
		{"/v1/chat/completions", plainBody, limits.Row{TPM: 80}, 429, true, `"rule":"tpm"`},
		{"/v1/chat/completions", plainBody, limits.Row{RPD: 1}, 429, true, `"rule":"rpd"`},
		{"/v1/messages", plainBody, limits.Row{RPM: 1}, 429, true, `"type":"rate_limit_error"`},
		{"/api/infer", `{"prompt":"x","model":"tiny","max_tokens":50}`, limits.Row{RPM: 1}, 429, true, `{"error":"Rate limit exceeded","retry_after_ms":`},
		{"/api/v2/execute/tiny", `{"text":"x","max_tokens":50}`, limits.Row{RPM: 1}, 497, false, `{"statusCode":497,"message":"Rate limit exceeded","error":"Rate limit exceeded","retry_after_ms":`},
		{"/api/v2/execute/tiny", `{"text":"x","max_tokens":50}`, limits.Row{RPD: 1}, 429, false, `{"statusCode":429,"message":"Rate limit exceeded"`},
	} {
		t.Run(test.path+" "+test.text, func(t *testing.T) {
			h := build(t, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, `{"content":[],"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":20,"completion_tokens":40}}`)
			}, ledger.NewKey{Limits: []limits.Row{test.limits}})
			if got := h.post(test.path, test.body); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			got := h.post(test.path, test.body)
			if got.status != test.status || !strings.Contains(got.body, test.text) || !strings.Contains(got.body, `"retry_after_ms":`) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if hasRetry := got.header.Get("Retry-After") != ""; hasRetry != test.retry {
				t.Errorf("%v", got.header)
			}
			wait, _ := strconv.Atoi(got.header.Get("Retry-After-Ms"))
			if long := wait > 60_001; test.retry && ((got.header.Get("X-Should-Retry") == "false") != long || wait == 0) {
				t.Errorf("%v", got.header)
			}
			if report := h.reports.nth(t, 2); !report.Refused || report.Status != test.status || !strings.Contains("rpm tpm rpd", report.Rule) {
				t.Errorf("%+v", report)
			}
		})
	}
}

func TestACallThatNeverFitsIsToldThatWaitingDoesNotHelp(t *testing.T) {
	for _, test := range []struct {
		path, body string
		limits     limits.Row
		status     int
		starts     string
	}{
		{"/v1/chat/completions", plainBody, limits.Row{TPM: 1}, 400, `{"type":"error","error":{"type":"invalid_request_error","code":"request_exceeds_limit","message":"the call needs `},
		{"/v1/messages", plainBody, limits.Row{TPD: 1}, 400, `{"type":"error","error":{"type":"invalid_request_error","code":"request_exceeds_limit","message":"the call needs `},
		{"/api/infer", `{"prompt":"x","model":"tiny","max_tokens":50}`, limits.Row{TPM: 1}, 400, `{"error":"the call needs `},
		{"/api/v2/execute/tiny", `{"text":"x","max_tokens":50}`, limits.Row{TPM: 1}, 497, `{"statusCode":497,"message":"the call needs `},
		{"/api/v1/execute/tiny", `{"data":"x","max_tokens":50}`, limits.Row{TPM: 1, Model: "tiny"}, 497, `{"statusCode":497,"message":"the call needs `},
		{"/api/v2/execute/tiny", `{"text":"x","max_tokens":50}`, limits.Row{TPD: 1}, 429, `{"statusCode":429,"message":"the call needs `},
	} {
		h := build(t, chat, ledger.NewKey{Limits: []limits.Row{test.limits}})
		got := h.post(test.path, test.body)
		if got.status != test.status || !strings.HasPrefix(got.body, test.starts) || !strings.Contains(got.body, "waiting does not help") {
			t.Errorf("%s: %d %s", test.path, got.status, got.body)
		}
		if strings.Contains(got.body, "retry_after") || got.header.Get("Retry-After")+got.header.Get("Retry-After-Ms") != "" {
			t.Errorf("%s names a wait: %s %v", test.path, got.body, got.header)
		}
		h.untouched()
	}
}

func TestANameThatTheLedgerDoesNotTakeIsTheCallersMistake(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	got := h.post("/v1/chat/completions", strings.Replace(plainBody, "tiny", strings.Repeat("x", 300), 1))
	if got.status != 400 || !strings.Contains(got.body, `"param":"model"`) || got.header.Get("X-Should-Retry") != "false" {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.untouched()
}

func TestTheDialectOfErrorsCanBeFixed(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithDialect(dialect.Aquin))
	if got := h.do("POST", "/v1/chat/completions", plainBody); strings.TrimSpace(got.body) != `{"error":"the API key is missing or not valid"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
}
