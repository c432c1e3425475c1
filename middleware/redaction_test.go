package middleware_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

// TestNoKeyAndNoPromptIsLeftAnywhere plants keys and prompts in calls that end in
// every way and looks for them in the logs, the reports that feed metrics, the
// error bodies, panics and the data directory.
func TestNoKeyAndNoPromptIsLeftAnywhere(t *testing.T) {
	const prompt = "planted-prompt-4711"
	logs := &testkit.Buffer{}
	logger := slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	data := t.TempDir()
	store, err := sqlitestore.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, chat, ledger.NewKey{})
	var secrets []string
	plant := func(request ledger.NewKey, credit ledger.Micro) string {
		request.Name = "planted"
		key, secret, err := book.CreateKey(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if credit > 0 {
			if _, err := book.TopUp(t.Context(), key.Owner, credit, key.ID); err != nil {
				t.Fatal(err)
			}
		}
		secrets = append(secrets, secret.Reveal())
		return secret.Reveal()
	}
	member := plant(ledger.NewKey{Owner: "rich"}, credit)
	limited := plant(ledger.NewKey{Owner: "rich", Models: []string{"tiny"}, Limits: []limits.Row{{RPM: 1}}}, 0)
	poor := plant(ledger.NewKey{Owner: "poor"}, 1)
	admin := plant(ledger.NewKey{Role: ledger.RoleAdmin}, 0)
	unknown := member[:len(member)-6] + "AAAAAA"
	secrets = append(secrets, unknown, "planted-key-without-shape")

	reports := &reports{}
	var shown testkit.Buffer
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Way") {
		case "panic":
			panic("a bug of the handler")
		case "abort":
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, wordEvent)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "401":
			w.WriteHeader(401)
			io.WriteString(w, `{"error":{"message":"wrong upstream key"}}`)
		case "500":
			w.WriteHeader(500)
		case "fail":
			middleware.ReportFailure(r.Context(), 502, io.ErrUnexpectedEOF)
		default:
			chat(w, r)
		}
	}
	gate := middleware.New(book, h.limiter, middleware.WithLogger(logger), middleware.WithObserver(reports))(http.HandlerFunc(answer))
	h.gateway.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if problem := recover(); problem != nil {
				fmt.Fprint(&shown, problem)
				panic(http.ErrAbortHandler)
			}
		}()
		gate.ServeHTTP(w, r)
	})
	message := `"messages":[{"role":"user","content":"` + prompt + `"}]`
	bodies := map[string]string{
		"/v1/chat/completions": `{"model":"tiny",` + message + `}`, "/v1/messages": `{"model":"tiny","max_tokens":5,` + message + `}`,
		"/api/infer": `{"prompt":"` + prompt + `"}`, "/api/v2/execute/tiny": `{"text":"` + prompt + `"}`, "/api/v1/execute/tiny": `{"data":"` + prompt + `"}`,
		"/v1/files": prompt, "/v1/completions": `{"model":"tiny","max_tokens":-1,"prompt":"` + prompt + `"}`, "/v1/embeddings": `{"model":"tiny","input":"` + prompt,
	}
	for _, key := range append(secrets, limited, limited, poor, admin) {
		for path, body := range bodies {
			for _, header := range []string{"Authorization", "X-Api-Key", "Api-Key"} {
				for _, way := range []string{"", "panic", "abort", "401", "500", "fail"} {
					if header != "Authorization" && way != "" {
						continue
					}
					value := key
					if header == "Authorization" {
						value = "Bearer " + key
					}
					request, err := http.NewRequest("POST", h.gateway.URL+path, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set(header, value)
					request.Header.Set("X-Way", way)
					response, err := http.DefaultClient.Do(request)
					if err != nil {
						continue // cut on purpose
					}
					text, _ := io.ReadAll(response.Body)
					response.Body.Close()
					fmt.Fprint(&shown, response.Header, response.Trailer, string(text))
				}
			}
		}
	}
	reports.mutex.Lock()
	fmt.Fprintf(&shown, "%+v", reports.list)
	reports.mutex.Unlock()
	if err := book.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	places := map[string]string{"logs": logs.String(), "answers, reports and panics": shown.String()}
	err = filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			var text []byte
			text, err = os.ReadFile(path)
			places[filepath.Base(path)] = string(text)
		}
		return err
	})
	if err != nil || len(places) < 3 {
		t.Fatalf("%d places: %v", len(places), err)
	}
	if len(reports.list) < 100 || len(logs.String()) == 0 {
		t.Fatalf("only %d calls were reported, %d bytes logged", len(reports.list), len(logs.String()))
	}
	for place, text := range places {
		for i, secret := range append(secrets, prompt) {
			if strings.Contains(text, secret) {
				t.Errorf("secret %d is in the %s", i, place)
			}
		}
	}
}
