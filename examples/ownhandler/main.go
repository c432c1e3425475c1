// Command ownhandler puts the gate in front of a handler of its own, which says
// itself what each call used.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

// shout answers with its prompt in capitals: one token a word.
func shout(w http.ResponseWriter, r *http.Request) {
	var request struct{ Prompt string }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, `{"error":{"message":"not JSON"}}`, http.StatusBadRequest)
		return
	}
	words := int64(len(strings.Fields(request.Prompt)))
	middleware.ReportUsage(r.Context(), middleware.Usage{InputTokens: words, OutputTokens: words})
	json.NewEncoder(w).Encode(map[string]string{"text": strings.ToUpper(request.Prompt)})
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: ownhandler DATA-DIRECTORY LISTEN-ADDRESS")
	}
	ctx := context.Background()
	store := must(sqlitestore.Open(ctx, os.Args[1]))
	book := must(ledger.Open(ctx, store))
	gate := middleware.New(book, limiter.New(),
		middleware.WithMetered("/shout", ledger.Quantity{InputTokens: 1000, OutputTokens: 1000}))
	if book.Empty() {
		key, secret, err := book.CreateKey(ctx, ledger.NewKey{Name: "first", Limits: []limits.Row{{RPM: 60}}})
		must(key, err)
		must(book.TopUp(ctx, key.Owner, 100*ledger.Credit, "a present"))
		fmt.Println("key", secret.Reveal())
	}
	listener := must(net.Listen("tcp", os.Args[2]))
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, gate(http.HandlerFunc(shout))))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
