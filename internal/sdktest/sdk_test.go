package sdktest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

// install returns a folder with the pinned clients and the script that uses them.
func install(t *testing.T) string {
	t.Helper()
	folder := testkit.NPM(t, "sdktest")
	testkit.CopyFiles(t, folder, "clients.mjs")
	return folder
}

// keys makes the keys that the clients use.
func keys(t *testing.T, book *ledger.Ledger) map[string]string {
	t.Helper()
	made := map[string]string{}
	slow := []limits.Row{{RPM: 1}}
	for name, request := range map[string]ledger.NewKey{
		"member":  {Owner: "rich"},
		"limited": {Owner: "rich", Models: []string{"tiny"}, Limits: []limits.Row{{TPM: 1000}}},
		"slow":    {Owner: "rich", Limits: slow},
		"slow2":   {Owner: "rich", Limits: slow},
		"slow3":   {Owner: "rich", Limits: slow},
		"revoked": {Owner: "rich"},
		"admin":   {Role: ledger.RoleAdmin},
		"poor":    {Owner: "poor"},
		"tight":   {Owner: "tight"},
	} {
		request.Name = name
		key, secret, err := book.CreateKey(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = secret.Reveal()
		if name == "revoked" {
			if _, err := book.RevokeKey(t.Context(), key.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A call of at most 20 tokens holds one credit: tight has one such call at a time.
	if err := book.SetPrice(t.Context(), "slow", ledger.Price{Output: slowPrice * ledger.Credit}); err != nil {
		t.Fatal(err)
	}
	for account, amount := range map[string]ledger.Micro{"rich": 100 * ledger.Credit, "tight": 3 * ledger.Credit / 2} {
		if _, err := book.TopUp(t.Context(), account, amount, "credit of "+account); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// slowPrice is what a million tokens of the model slow cost, in credits.
const slowPrice = 50_000

// models are the names that the upstream knows.
var models = []string{"tiny", "busy", "fails", "slow", "dies"}

// outcome is what a scenario gave.
type outcome struct {
	Name      string          `json:"name"`
	MS        int64           `json:"ms"`
	OK        json.RawMessage `json:"ok"`
	Class     string          `json:"class"`
	Status    int             `json:"status"`
	Code      string          `json:"code"`
	Type      string          `json:"type"`
	RequestID bool            `json:"requestID"`
	Message   string          `json:"message"`
	Seen      []string        `json:"seen"`
}

// runClients runs all scenarios against a gateway.
func runClients(t *testing.T, folder, address string, keys map[string]string) map[string]outcome {
	t.Helper()
	return runScript(t, folder, "clients.mjs", address, keys)
}

// runScript runs the scenarios of a script against a gateway.
func runScript(t *testing.T, folder, script, address string, keys map[string]string) map[string]outcome {
	t.Helper()
	settings, err := json.Marshal(map[string]any{"url": address, "keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", script)
	command.Dir = folder
	command.Env = append(os.Environ(), "PENSTOCK_SDKTEST="+string(settings))
	var problems bytes.Buffer
	command.Stderr = &problems
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("clients: %v\n%s", err, problems.String())
	}
	outcomes := map[string]outcome{}
	lines := bufio.NewScanner(bytes.NewReader(printed))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one outcome
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		outcomes[one.Name] = one
	}
	return outcomes
}

// TestOfficialClientsInFrontOfTheMiddleware runs them against a plain net/http
// server.
func TestOfficialClientsInFrontOfTheMiddleware(t *testing.T) {
	folder := install(t)
	book := openLedger(t)
	var catalog []middleware.Model
	for _, name := range models {
		catalog = append(catalog, middleware.Model{Name: name})
	}
	gate := middleware.New(book, limiter.New(), middleware.WithModels(catalog...), middleware.WithMaxBody(1<<20))
	counter := &callCounter{next: gate(proxyTo(t, upstream))}
	gateway := httptest.NewServer(counter)
	defer gateway.Close()
	check(t, runClients(t, folder, gateway.URL, keys(t, book)))
	if counter.again > 0 {
		t.Errorf("a refusal that is final was tried again %d times", counter.again)
	}
	if counter.retried == 0 {
		t.Error("no client came back after the wait that it was told")
	}
}

// openLedger opens an empty ledger.
func openLedger(t *testing.T) *ledger.Ledger {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close(context.Background()) })
	return book
}

// proxyTo starts an upstream and returns what sends calls to it.
func proxyTo(t *testing.T, upstream http.HandlerFunc) http.Handler {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0), // the upstream dies on purpose
	}
}

// callCounter counts what clients do after a refusal.
type callCounter struct {
	next           http.Handler
	mutex          sync.Mutex
	again, retried int
}

func (c *callCounter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if count := r.Header.Get("X-Stainless-Retry-Count"); count != "" && count != "0" {
		c.mutex.Lock()
		c.retried++
		c.mutex.Unlock()
	}
	watched := &statusWriter{ResponseWriter: w}
	c.next.ServeHTTP(watched, r)
	if watched.status == http.StatusPaymentRequired && r.Header.Get("X-Stainless-Retry-Count") != "0" {
		c.mutex.Lock()
		c.again++
		c.mutex.Unlock()
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
