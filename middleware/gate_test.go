package middleware_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

func TestAChatCompletionIsMeteredAndCharged(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 60, TPM: 30000}}}, middleware.WithModels(middleware.Model{Name: "tiny"}))
	got := h.post("/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"2+2?"}]}`)
	if got.status != 200 || got.body != chatReply {
		t.Fatalf("%d %s", got.status, got.body)
	}
	entries := h.entries()
	if len(entries) != 1 || entries[0].Quantity.InputTokens != 9 || entries[0].Quantity.OutputTokens != 3 ||
		entries[0].Usage != ledger.UsageReported || entries[0].Outcome != ledger.OutcomeOK {
		t.Fatalf("%+v", entries)
	}
	if charged := got.header.Get("X-Penstock-Credits-Charged"); charged != entries[0].Amount.String() {
		t.Errorf("charged %q, the entry says %s", charged, entries[0].Amount)
	}
	if id := got.header.Get("X-Request-Id"); id != entries[0].RequestID || got.header.Get("Request-Id") != id {
		t.Errorf("request ids %q and %q, the entry says %q", id, got.header.Get("Request-Id"), entries[0].RequestID)
	}
	if got.header.Get("X-Ratelimit-Limit-Requests") != "60" || got.header.Get("X-Ratelimit-Remaining-Requests") != "59" ||
		got.header.Get("X-Ratelimit-Limit-Tokens") != "30000" || got.header.Get("X-Ratelimit-Reset-Tokens") == "" {
		t.Errorf("limit headers: %v", got.header)
	}
	if account := h.account(); account.Held != 0 || account.Spent != entries[0].Amount {
		t.Errorf("%+v", account)
	}
}

func TestAStreamIsMeteredAndTheUsageThatNobodyAskedForIsTakenOut(t *testing.T) {
	for name, test := range map[string]struct {
		options string
		events  int
	}{"not asked": {"", 5}, "refused": {`,"stream_options":{"include_usage":false}`, 5}, "asked": {`,"stream_options":{"include_usage":true}`, 6}} {
		t.Run(name, func(t *testing.T) {
			h := build(t, chat, ledger.NewKey{})
			got := h.post("/v1/chat/completions", `{"model":"tiny","stream":true,"messages":[]`+test.options+`}`)
			list := events(got.body)
			if got.status != 200 || len(list) != test.events || list[len(list)-1] != "[DONE]" {
				t.Fatalf("%d %q", got.status, list)
			}
			entries := h.entries()
			if len(entries) != 1 || entries[0].Quantity.InputTokens != 9 || entries[0].Quantity.OutputTokens != 3 || entries[0].Usage != ledger.UsageReported {
				t.Fatalf("%+v", entries)
			}
			if charged := got.trailer.Get("X-Penstock-Credits-Charged"); charged != entries[0].Amount.String() {
				t.Errorf("trailer %q, the entry says %s", charged, entries[0].Amount)
			}
		})
	}
}

func TestAnAquinCallIsTranslated(t *testing.T) {
	var seen []string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, string(body))
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		chat(w, r)
	}, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "tiny", UpstreamName: "org/tiny"}))
	for _, path := range []string{"/api/infer", "/api/v1/model"} {
		got := h.post(path, `{"prompt":"What is a credit?","system_prompt":"Be short."}`)
		if got.status != 200 || got.body != `{"text":"four","tokens_in":9,"tokens_out":3}` {
			t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
	}
	want := `{"model":"org/tiny","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"What is a credit?"}],"max_tokens":512,"temperature":0.7}`
	if len(seen) != 2 || seen[0] != want {
		t.Errorf("upstream saw\n%s\nwant\n%s", seen[0], want)
	}
}

func TestRefusalsReachNoUpstreamAndLeaveNoTrace(t *testing.T) {
	reached := 0
	h := build(t, func(w http.ResponseWriter, r *http.Request) { reached++; chat(w, r) },
		ledger.NewKey{Models: []string{"tiny", "gone"}, Limits: []limits.Row{{TPM: 2000}}},
		middleware.WithModels(middleware.Model{Name: "tiny"}, middleware.Model{Name: "other"}), middleware.WithMaxBody(10000))
	_, admin := h.newKey(ledger.NewKey{Role: ledger.RoleAdmin}, 0)
	_, poor := h.newKey(ledger.NewKey{Owner: "poor"}, 1)
	revokedKey, revoked := h.newKey(ledger.NewKey{}, 0)
	if _, err := h.ledger.RevokeKey(t.Context(), revokedKey.ID); err != nil {
		t.Fatal(err)
	}
	ok := `{"model":"tiny","messages":[{"role":"user","content":"hi"}]}`
	tests := []struct {
		name, path, key, body string
		status                int
		code                  string
	}{
		{"no key", "/v1/chat/completions", "", ok, 401, "invalid_api_key"},
		{"malformed key", "/v1/chat/completions", "nonsense", ok, 401, "invalid_api_key"},
		{"unknown key", "/v1/chat/completions", h.text[:len(h.text)-7] + "0000000", ok, 401, "invalid_api_key"},
		{"revoked key", "/v1/chat/completions", revoked, ok, 401, "invalid_api_key"},
		{"admin key", "/v1/chat/completions", admin, ok, 403, "permission_denied"},
		{"unknown model", "/v1/chat/completions", h.text, `{"model":"no","messages":[]}`, 404, "model_not_found"},
		{"forbidden model", "/v1/chat/completions", h.text, `{"model":"other","messages":[]}`, 403, "model_not_allowed"},
		{"no model", "/v1/chat/completions", h.text, `{"messages":[]}`, 400, "invalid_request"},
		{"no credit", "/v1/chat/completions", poor, ok, 402, "insufficient_quota"},
		{"never fits", "/v1/chat/completions", h.text, `{"model":"tiny","max_tokens":5000,"messages":[]}`, 400, "request_exceeds_limit"},
		{"not JSON", "/v1/chat/completions", h.text, `hello`, 400, "invalid_request"},
		{"too large", "/v1/chat/completions", h.text, `{"model":"tiny","x":"` + strings.Repeat("a", 10000) + `"}`, 413, "request_too_large"},
		{"unknown path", "/v1/files", h.text, ok, 404, "unknown_path"},
	}
	first401 := ""
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := []string{}
			if test.key != "" {
				header = []string{"Authorization", "Bearer " + test.key}
			}
			got := h.do("POST", test.path, test.body, header...)
			var shape struct {
				Type  string
				Error struct{ Type, Code, Message string }
			}
			if err := json.Unmarshal([]byte(got.body), &shape); err != nil {
				t.Fatalf("%d %s: %v", got.status, got.body, err)
			}
			if got.status != test.status || shape.Error.Code != test.code || shape.Type != "error" || shape.Error.Message == "" {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got.status != 429 && got.header.Get("X-Should-Retry") != "false" {
				t.Errorf("a client would try again: %v", got.header)
			}
			if got.status == 401 {
				if first401 == "" {
					first401 = got.body
				}
				if got.body != first401 {
					t.Errorf("401 tells keys apart: %q and %q", got.body, first401)
				}
			}
		})
	}
	if reached != 0 {
		t.Errorf("%d refused calls reached the upstream", reached)
	}
	h.untouched()
}

func TestAGateWithoutItsPartsIsRefusedAtOnce(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	for name, make := range map[string]func(){
		"ledger":  func() { middleware.New(nil, h.limiter) },
		"limiter": func() { middleware.New(h.ledger, nil) },
		"handler": func() { middleware.New(h.ledger, h.limiter)(nil) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, name) {
					t.Errorf("without a %s: %q", name, text)
				}
			}()
			make()
		}()
	}
}
