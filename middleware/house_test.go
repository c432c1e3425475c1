package middleware_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a gateway in front of an upstream, both real servers, with a real
// ledger and limiter.
type house struct {
	t        testing.TB
	ledger   *ledger.Ledger
	limiter  *limiter.Memory
	upstream *httptest.Server
	gateway  *httptest.Server
	key      ledger.Key
	text     string // of the key
	reports  *reports
}

// reports collects what the observer is told.
type reports struct {
	mutex sync.Mutex
	list  []middleware.Report
}

func (r *reports) Observe(report middleware.Report) {
	r.mutex.Lock()
	r.list = append(r.list, report)
	r.mutex.Unlock()
}

// nth waits for the nth report (from 1) and returns it.
func (r *reports) nth(t testing.TB, n int) middleware.Report {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		r.mutex.Lock()
		if len(r.list) >= n {
			defer r.mutex.Unlock()
			return r.list[n-1]
		}
		r.mutex.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("report %d did not come", n)
		}
		time.Sleep(time.Millisecond)
	}
}

const credit = 10 * ledger.Credit

// build starts a house around an upstream handler. The member key may use every
// model and has no limits unless newKey says otherwise.
func build(t testing.TB, upstream http.HandlerFunc, newKey ledger.NewKey, options ...middleware.Option) *house {
	t.Helper()
	h := &house{t: t, limiter: limiter.New(), reports: &reports{}}
	store, err := sqlitestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if h.ledger, err = ledger.Open(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	h.key, h.text = h.newKey(newKey, credit)
	h.upstream = httptest.NewServer(upstream)
	target, err := url.Parse(h.upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			middleware.ReportFailure(r.Context(), http.StatusBadGateway, err)
		},
	}
	options = append([]middleware.Option{middleware.WithObserver(h.reports)}, options...)
	h.gateway = httptest.NewServer(middleware.New(h.ledger, h.limiter, options...)(proxy))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		h.gateway.Close()
		transport.CloseIdleConnections()
		h.upstream.CloseClientConnections()
		h.upstream.Close()
		h.limiter.Close()
		if err := h.ledger.Close(context.Background()); err != nil {
			t.Errorf("close ledger: %v", err)
		}
	})
	return h
}

func (h *house) newKey(request ledger.NewKey, credit ledger.Micro) (ledger.Key, string) {
	h.t.Helper()
	if request.Name == "" {
		request.Name = "test"
	}
	key, secret, err := h.ledger.CreateKey(h.t.Context(), request)
	if err != nil {
		h.t.Fatal(err)
	}
	if credit > 0 {
		if _, err := h.ledger.TopUp(h.t.Context(), key.Owner, credit, "credit for "+key.ID); err != nil {
			h.t.Fatal(err)
		}
	}
	return key, secret.Reveal()
}

// answer is a reply that was read to its end.
type answer struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	readErr error
}

// post sends a body with the house's key.
func (h *house) post(path, body string, header ...string) answer {
	h.t.Helper()
	return h.do("POST", path, body, append([]string{"Authorization", "Bearer " + h.text}, header...)...)
}

func (h *house) do(method, path, body string, header ...string) answer {
	h.t.Helper()
	request, err := http.NewRequest(method, h.gateway.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, response.Trailer, string(text), err}
}

func (h *house) account() ledger.Account {
	account, ok := h.ledger.Account(h.key.Owner)
	if !ok {
		h.t.Fatalf("no account %q", h.key.Owner)
	}
	return account
}

// entries returns the entries of calls.
func (h *house) entries() []ledger.Entry {
	h.t.Helper()
	all, err := h.ledger.Entries(h.t.Context(), 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	var calls []ledger.Entry
	for _, entry := range all {
		if entry.RequestID != "" && entry.Kind != ledger.KindCheckpoint {
			calls = append(calls, entry)
		}
	}
	return calls
}

// untouched checks that a refusal left no trace.
func (h *house) untouched() {
	h.t.Helper()
	if account := h.account(); account.Available != credit || account.Held != 0 || account.Spent != 0 {
		h.t.Errorf("the account changed: %+v", account)
	}
	if entries := h.entries(); len(entries) != 0 {
		h.t.Errorf("there are entries: %+v", entries)
	}
}

const chatReply = `{"id":"c1","object":"chat.completion","model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":"four"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`

// chat is an upstream that speaks the OpenAI chat API.
func chat(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var request struct {
		Stream        bool `json:"stream"`
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if r.URL.Path != "/v1/chat/completions" || json.Unmarshal(body, &request) != nil {
		http.Error(w, `{"error":{"message":"bad"}}`, http.StatusBadRequest)
		return
	}
	if !request.Stream {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, chatReply)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, word := range []string{"one", " two", " three"} {
		fmt.Fprintf(w, "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", word)
		w.(http.Flusher).Flush()
	}
	io.WriteString(w, "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n")
	if request.StreamOptions.IncludeUsage {
		io.WriteString(w, "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n")
	}
	io.WriteString(w, "data: [DONE]\n\n")
}

// events reads the data of the events of a stream, and the names of named ones.
func events(body string) (events []string) {
	scanner := bufio.NewScanner(strings.NewReader(body))
	name := ""
	for scanner.Scan() {
		line := scanner.Text()
		if text, ok := strings.CutPrefix(line, "event: "); ok {
			name = text + " "
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			events = append(events, name+text)
			name = ""
		}
	}
	return events
}

// wrap puts a handler of one's own behind the gate of a house.
func (h *house) wrap(handler http.HandlerFunc, options ...middleware.Option) {
	options = append([]middleware.Option{middleware.WithObserver(h.reports)}, options...)
	h.gateway.Config.Handler = middleware.New(h.ledger, h.limiter, options...)(handler)
}
