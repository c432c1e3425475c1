package middleware_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

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

func TestOperationsThatGenerateNothingAreChargedByTheirInput(t *testing.T) {
	reply := ""
	h := build(t, func(http.ResponseWriter, *http.Request) {}, ledger.NewKey{})
	if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Input: 1_000_000, Request: 100}); err != nil {
		t.Fatal(err)
	}
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, reply)
	}, middleware.WithModels(middleware.Model{Name: "tiny"}))
	const input = `{"model":"tiny","input":"how are you?"}`
	const estimate = int64(len(input)+3) / 4
	for i, test := range []struct {
		path, body, reply string
		input             int64
		operation         string
	}{
		{"/score", `{"model":"tiny","text_1":"a","text_2":["b","c"]}`, `{"data":[{"score":1}],"usage":{"total_tokens":6}}`, 6, "score"},
		{"/pooling", input, `{"data":[{"data":[[1]]}],"usage":{"prompt_tokens":5}}`, 5, "pooling"},
		{"/classify", input, `{"data":[{"label":"x"}]}`, estimate, "classify"},
		{"/v1/moderations", input, `{"results":[{"flagged":true}]}`, estimate, "moderations"},
		{"/tokenize", `{"prompt":"how are you?"}`, `{"tokens":[1,2,3]}`, 0, "tokenize"},
		{"/detokenize", `{"tokens":[1,2,3]}`, `{"prompt":"how are you?"}`, 0, "tokenize"},
	} {
		reply = test.reply
		if got := h.post(test.path, test.body); got.status != 200 || got.body != test.reply {
			t.Fatalf("%s: %d %s", test.path, got.status, got.body)
		}
		report := h.reports.nth(t, i+1)
		if report.Operation != test.operation || report.InputTokens != test.input || report.OutputTokens != 0 || report.Charge.Amount != ledger.Micro(100+test.input) {
			t.Errorf("%s: %+v", test.path, report)
		}
	}
	spent := h.account().Spent
	for _, path := range []string{"/score", "/pooling", "/classify", "/v1/moderations", "/tokenize", "/detokenize"} {
		for _, reply = range []string{`{}`, `{"error":{"message":"out of memory"}}`, `<html>`} {
			if got := h.post(path, input); got.status != 502 {
				t.Errorf("%s: %d for %s", path, got.status, reply)
			}
		}
		if got := h.post(path, `{"model":"tiny","model":"other"}`); got.status != 400 {
			t.Errorf("%s: %d for two models", path, got.status)
		}
		if got := h.do("GET", path, "", "Authorization", "Bearer "+h.text); got.status != 405 {
			t.Errorf("GET %s: %d", path, got.status)
		}
	}
	if account := h.account(); account.Spent != spent || account.Held != 0 {
		t.Errorf("what is no answer costs %d, %d is held", account.Spent-spent, account.Held)
	}
}

func TestInputThatAnUpstreamCountsAsNothingIsEstimated(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		reply := ""
		h := build(t, func(http.ResponseWriter, *http.Request) {}, ledger.NewKey{})
		if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Input: 1_000_000}); err != nil {
			t.Fatal(err)
		}
		h.wrap(func(w http.ResponseWriter, r *http.Request) {
			middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "e:1", Trusted: trusted})
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, reply)
		})
		const input, query = `{"model":"tiny","input":"how are you?"}`, `{"model":"tiny","query":"which?","documents":["a"]}`
		for i, test := range []struct {
			path, body, reply string
			input             int64
			source            ledger.UsageSource
		}{
			{"/v1/embeddings", input, `{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":0,"total_tokens":0}}`, int64(len(input)+3) / 4, ledger.UsageEstimated},
			{"/v1/embeddings", input, `{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":5,"total_tokens":5}}`, 5, ledger.UsageReported},
			{"/api/embed", input, `{"embeddings":[[1]],"prompt_eval_count":0}`, int64(len(input)+3) / 4, ledger.UsageEstimated},
			{"/rerank", query, `{"results":[{"index":0,"document":{"text":"a"},"relevance_score":1}],"usage":{"total_tokens":0}}`, int64(len(query)+3) / 4, ledger.UsageEstimated},
			{"/rerank", query, `{"results":[],"usage":{"total_tokens":7}}`, 7, ledger.UsageReported},
		} {
			reply = test.reply
			if got := h.post(test.path, test.body); got.status != 200 {
				t.Fatalf("%s: %d %s", test.path, got.status, got.body)
			}
			report := h.reports.nth(t, i+1)
			if report.InputTokens != test.input || report.OutputTokens != 0 || report.UsageSource != test.source || report.Charge.Amount != ledger.Micro(test.input) {
				t.Errorf("trusted %v, %s %s: %+v", trusted, test.path, test.reply, report)
			}
		}
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

func TestAFixedCostIsForAnswersOnly(t *testing.T) {
	reached := 0
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		reached++
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusNotModified)
		}
	}, middleware.WithFixedCost("/documents", 5), middleware.WithMetered("/own", ledger.Quantity{OutputTokens: 9}))
	for _, path := range []string{"/documents", "/own"} {
		for _, method := range []string{"HEAD", "OPTIONS", "TRACE"} {
			got := h.do(method, path, "", "X-Api-Key", h.text)
			if got.status != 405 || got.header.Get("Allow") != "DELETE, GET, PATCH, POST, PUT" {
				t.Errorf("%s %s: %d %v", method, path, got.status, got.header)
			}
			if got := h.do(method, path, ""); got.status != 401 {
				t.Errorf("%s %s without a key: %d", method, path, got.status)
			}
		}
	}
	h.untouched()
	if reached > 0 {
		t.Errorf("%d calls reached the handler", reached)
	}
	if got := h.do("GET", "/documents", "", "X-Api-Key", h.text, "If-None-Match", "x"); got.status != 304 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if spent := h.account().Spent; spent != 5 {
		t.Errorf("%s spent", spent)
	}
}

// ask sends a request line as it stands and returns the status of the answer.
func (h *house) ask(line string) int {
	h.t.Helper()
	connection, err := net.Dial("tcp", h.gateway.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprintf(connection, "%s HTTP/1.1\r\nHost: gate\r\nX-Api-Key: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", line, h.text)
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		h.t.Fatalf("%s: %v", line, err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// What a server further down might read as another path passes no prefix, whatever
// the number of times that it, or a proxy on the way, unescapes it.
func TestAPathThatCouldMeanAnotherPassesNoPrefix(t *testing.T) {
	var reached []string
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(_ http.ResponseWriter, r *http.Request) { reached = append(reached, r.RequestURI) },
		middleware.WithAllowUnmetered("/tok*", "/named/../path", "/a;b"))
	target, climb := "/v1/chat/completions", ".."
	for range 6 { // escaped up to five times
		for _, path := range []string{
			"/tok/" + climb + target, "/tok/x/" + climb + "/" + climb + target, "/tok/" + climb,
			"/tok/" + strings.ReplaceAll(climb, "..", ".") + target,
		} {
			if status := h.ask("POST " + path); status != 404 {
				t.Errorf("%s: %d", path, status)
			}
		}
		climb = strings.NewReplacer("%", "%25", ".", "%2e").Replace(climb)
	}
	for _, path := range []string{
		"/tok/..;" + target, "/tok/..;x=1" + target, "/tok/.%2e" + target, "/tok/%2E." + target, "/tok//v1", "/tok/%2f/v1", "/tok/a%252f%252fv1",
		"/tok/..%5cv1", "/tok\\..\\v1", "/tok/%5c%5cv1", "/tok/%255c", "/tok/a%3bb", "/tok/a%253Bb", "/tok/%00", "/tok/%0d%0ax", "/tok/%25zz", "/tok/100%25",
		"/tok/%25%32%65%25%32%65" + target, "/tok/%2e%2e%2fv1", "/x/../tok", "//tok", "/%74ok", "http://gate/tok/..;" + target, "/tok/a/./b",
	} {
		if status := h.ask("POST " + path); status != 404 && status != 400 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if len(reached) > 0 {
		t.Errorf("these passed: %q", reached)
	}
	for _, path := range []string{"/tok", "/tokens", "/tok/a/b/", "/tok/a%20b", "/tok/a%2fb", "/tok/...", "/tok/.hidden/a..b", "/named/../path", "/a;b"} {
		if status := h.ask("GET " + path + "?q=../..;"); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	h.untouched()
}

func TestAKnownPathNamesItsMethods(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "tiny"}))
	for _, test := range []struct{ method, path, allow string }{
		{"GET", "/v1/chat/completions", "POST"},
		{"PUT", "/api/infer", "POST"},
		{"HEAD", "/v1/messages", "POST"},
		{"POST", "/v1/models", "GET, HEAD"},
		{"DELETE", "/api/v2/execute/tiny", "POST"},
		{"OPTIONS", "/api/chat", "POST"},
	} {
		got := h.do(test.method, test.path, "", "X-Api-Key", h.text)
		if got.status != 405 || got.header.Get("Allow") != test.allow || got.header.Get("X-Should-Retry") != "false" {
			if test.path != "/api/v2/execute/tiny" || got.status != 405 {
				t.Errorf("%s %s: %d %v %s", test.method, test.path, got.status, got.header, got.body)
			}
		}
		if got := h.do(test.method, test.path, ""); got.status != 401 || got.header.Get("Allow") != "" {
			t.Errorf("%s %s without a key: %d %v", test.method, test.path, got.status, got.header)
		}
	}
	list := h.do("GET", "/v1/models", "", "X-Api-Key", h.text)
	head := h.do("HEAD", "/v1/models", "", "X-Api-Key", h.text)
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != strconv.Itoa(len(list.body)) {
		t.Errorf("HEAD: %d %v %q", head.status, head.header, head.body)
	}
}

func TestAnUnknownPathHintsAtTheOneThatIsMeant(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	for path, hint := range map[string]string{
		"/chat/completions": "/v1/chat/completions", "/v1/v1/messages": "/v1/messages", "/embeddings": "/v1/embeddings",
		"/api/v1/completions": "/v1/completions", "/v1/api/generate": "/api/generate", "/v1/files": "",
	} {
		got := h.post(path, "{}")
		if got.status != 404 || strings.Contains(got.body, "did you mean "+hint+"?") != (hint != "") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestABodyThatIsTooLargeForAPathWithAFixedCost(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithFixedCost("/documents", 5), middleware.WithMaxBody(100))
	if got := h.post("/documents", strings.Repeat("x", 101)); got.status != 413 {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.untouched()
}

func TestAGateServesItsPathsBelowAPrefix(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithPathPrefix("/api/"), middleware.WithAllowUnmetered("/docs"))
	var paths []string
	routes := chi.NewRouter()
	routes.Route("/api", func(r chi.Router) {
		r.Use(middleware.New(h.ledger, h.limiter, middleware.WithPathPrefix("/api/"), middleware.WithAllowUnmetered("/docs")))
		r.HandleFunc("/*", func(w http.ResponseWriter, r *http.Request) {
			paths = append(paths, r.URL.Path)
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, chatReply)
		})
	})
	stripped := http.StripPrefix("/api", middleware.New(h.ledger, h.limiter)(http.HandlerFunc(chat)))
	ask := func(handler http.Handler, path string) int {
		request := httptest.NewRequest("POST", path, strings.NewReader(`{"model":"tiny","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`))
		request.Header.Set("Authorization", "Bearer "+h.text)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer.Code
	}
	for _, test := range []struct {
		handler http.Handler
		path    string
		status  int
	}{
		{routes, "/api/v1/chat/completions", 200},
		{routes, "/api/docs", 200},
		{routes, "/api/api/v1/chat/completions", 404},
		{routes, "/api/other", 404},
		{stripped, "/api/v1/chat/completions", 200},
		{h.gateway.Config.Handler, "/v1/chat/completions", 404},
		{h.gateway.Config.Handler, "/apiv1/chat/completions", 404},
		{h.gateway.Config.Handler, "/api", 404},
		{h.gateway.Config.Handler, "/api%2Fv1/chat/completions", 404},
	} {
		if got := ask(test.handler, test.path); got != test.status {
			t.Errorf("%s: %d, want %d", test.path, got, test.status)
		}
	}
	if want := []string{"/api/v1/chat/completions", "/api/docs"}; !slices.Equal(paths, want) {
		t.Errorf("the handler got the paths %q, want %q", paths, want)
	}
}

func TestAPathThatNothingMetersSaysWhatToSet(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	if got := h.post("/shout", "{}"); got.status != 404 || !strings.Contains(got.body, "WithMetered") || !strings.Contains(got.body, "allow_unmetered") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := h.do("POST", "/shout", "{}"); got.status != 401 || strings.Contains(got.body, "WithMetered") {
		t.Errorf("without a key: %d %s", got.status, got.body)
	}
}
