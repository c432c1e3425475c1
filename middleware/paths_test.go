package middleware_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// priceless is a ledger without prices.
type priceless struct{ middleware.Ledger }

// noPrice is a ledger that cannot set one.
type noPrice struct{ *ledger.Ledger }

func (noPrice) SetPrice(context.Context, string, ledger.Price) error { return ledger.ErrUnavailable }

func TestAPathIsRefusedUntilItsPriceIsSet(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	for name, book := range map[string]middleware.Ledger{"no prices": priceless{h.ledger}, "failure": noPrice{h.ledger}, "set": h.ledger} {
		gate := middleware.NewGate(book, limiter.New(), middleware.WithFixedCost("/documents", 5))
		if status := ask(gate, h.text); status != http.StatusNotFound {
			t.Errorf("%s: %d before the price is set", name, status)
		}
		err, want := gate.SetPrices(t.Context()), http.StatusNotFound
		if name == "set" {
			want = http.StatusOK
		} else if err == nil || !strings.Contains(err.Error(), "/documents") {
			t.Errorf("%s: %v", name, err)
		}
		if status := ask(gate, h.text); status != want {
			t.Errorf("%s: %d, want %d, after %v", name, status, want, err)
		}
	}
}

// ask calls the path with a fixed cost.
func ask(gate *middleware.Gate, key string) int {
	request := httptest.NewRequest("POST", "/documents", nil)
	request.Header.Set("Authorization", "Bearer "+key)
	answer := httptest.NewRecorder()
	gate.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, request)
	return answer.Code
}

func TestFixedCostAndUnmeteredPaths(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the key goes on")
		}
		if strings.Contains(r.URL.Path, "fail") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		io.WriteString(w, "ok")
	}, middleware.WithFixedCost("/v1/rerank", 1234), middleware.WithFixedCost("/fail", 1), middleware.WithAllowUnmetered("/health", "/static/*"))
	if got := h.post("/v1/rerank", "anything"); got.status != 200 || got.body != "ok" || got.header.Get("X-Penstock-Credits-Charged") != "0.001234" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	if got := h.post("/fail", ""); got.status != 500 {
		t.Errorf("%d %s", got.status, got.body)
	}
	for path, status := range map[string]int{
		"/health": 200, "/static/a/b": 200, "/static/a/": 200, "/staticx": 404,
		"/static/../v1/chat/completions": 404, "/static/%2e%2e/v1/chat/completions": 404, "/static/a%2f..%2f..%2fv1": 404, "/static//v1": 404, "/v1/rerank/x": 404,
	} {
		if got := h.post(path, ""); got.status != status {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := h.do("GET", "/health", ""); got.status != 401 {
		t.Errorf("without a key: %d", got.status)
	}
	if account := h.account(); account.Spent != 1234 || account.Held != 0 {
		t.Errorf("%+v", account)
	}
}

func TestRerankIsChargedByItsInput(t *testing.T) {
	const body = `{"model":"tiny","query":"which?","documents":["a","b"],"top_n":1}`
	h := build(t, chat, ledger.NewKey{})
	if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Input: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	reply := ""
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		if got, _ := io.ReadAll(r.Body); string(got) != strings.Replace(body, "tiny", "org/tiny", 1) {
			t.Errorf("the upstream gets %s", got)
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, reply)
	}, middleware.WithModels(middleware.Model{Name: "tiny", UpstreamName: "org/tiny"}))
	for i, test := range []struct {
		path, reply string
		source      ledger.UsageSource
		input       int64
	}{
		{"/v1/rerank", `{"results":[{"index":1,"relevance_score":0.9}],"usage":{"total_tokens":15}}`, ledger.UsageReported, 15},
		{"/rerank", `{"results":[],"usage":{"prompt_tokens":7,"total_tokens":7}}`, ledger.UsageReported, 7},
		{"/rerank", `{"results":[],"meta":{"billed_units":{"search_units":1}}}`, ledger.UsageEstimated, (int64(len(body)+len(`"which?"`)) + 3) / 4}, // the query is read with each document,
	} {
		reply = test.reply
		if got := h.post(test.path, body); got.status != 200 || got.body != test.reply {
			t.Errorf("%s: %d %s", test.path, got.status, got.body)
		}
		report := h.reports.nth(t, i+1)
		if report.Operation != "rerank" || report.UsageSource != test.source || report.InputTokens != test.input || report.OutputTokens != 0 {
			t.Errorf("%s %s: %+v", test.path, test.reply, report)
		}
	}
	if got := h.post("/rerank", `{"query":"which?","documents":[],"stream":true,"model":"tiny"}`); got.status != 400 {
		t.Errorf("a stream: %d %s", got.status, got.body)
	}
}

func TestAPathWithAFixedCostIsAnsweredAsItIs(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") },
		middleware.WithDialect(dialect.Aquin), middleware.WithFixedCost("/documents", 5))
	if got := h.post("/documents", "anything"); got.status != 200 || got.body != "ok" {
		t.Errorf("%d %s", got.status, got.body)
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
