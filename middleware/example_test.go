package middleware_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

// openExample opens a ledger in which one key has credit.
func openExample() (book *ledger.Ledger, key string, end func()) {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "penstock")
	check(err)
	store, err := sqlitestore.Open(ctx, folder)
	check(err)
	book, err = ledger.Open(ctx, store)
	check(err)
	check(book.SetPrice(ctx, "tiny", ledger.Price{Input: 1000 * ledger.Credit, Output: 2000 * ledger.Credit})) // for a million tokens
	created, secret, err := book.CreateKey(ctx, ledger.NewKey{Name: "demo", Limits: []limits.Row{{RPM: 60}}})
	check(err)
	_, err = book.TopUp(ctx, created.Owner, 10*ledger.Credit, "a present")
	check(err)
	return book, secret.Reveal(), func() {
		check(book.Close(ctx))
		check(os.RemoveAll(folder))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleNew() {
	book, key, end := openExample()
	defer end()
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[{"message":{"content":"four"}}],"usage":{"prompt_tokens":20,"completion_tokens":40}}`)
	})
	gate := middleware.New(book, limiter.New(), middleware.WithModels(middleware.Model{Name: "tiny"}))(upstream)

	for _, text := range []string{"", key} {
		request := httptest.NewRequest("POST", "/v1/chat/completions",
			strings.NewReader(`{"messages":[{"role":"user","content":"2+2?"}]}`))
		request.Header.Set("Authorization", "Bearer "+text)
		answer := httptest.NewRecorder()
		gate.ServeHTTP(answer, request)
		header := answer.Header()
		fmt.Printf("%d, requests left %q, charged %q\n", answer.Code,
			header.Get("X-Ratelimit-Remaining-Requests"), header.Get("X-Penstock-Credits-Charged"))
	}
	// Output:
	// 401, requests left "", charged ""
	// 200, requests left "59", charged "0.100000"
}

func ExampleWithMetered() {
	book, key, end := openExample()
	defer end()
	check(book.SetPrice(context.Background(), "/shout", ledger.Price{Input: 1000 * ledger.Credit}))
	shout := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Prompt string }
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
		words := int64(len(strings.Fields(request.Prompt)))
		middleware.ReportUsage(r.Context(), middleware.Usage{InputTokens: words})
		io.WriteString(w, strings.ToUpper(request.Prompt))
	})
	// No call may consume more than this: it is held until the handler has reported.
	worst := ledger.Quantity{InputTokens: 1000}
	gate := middleware.New(book, limiter.New(), middleware.WithMetered("/shout", worst))(shout)

	request := httptest.NewRequest("POST", "/shout", strings.NewReader(`{"prompt":"hello out there"}`))
	request.Header.Set("Authorization", "Bearer "+key)
	answer := httptest.NewRecorder()
	gate.ServeHTTP(answer, request)
	fmt.Println(answer.Body, answer.Header().Get("X-Penstock-Credits-Charged"))
	// Output: HELLO OUT THERE 0.003000
}
