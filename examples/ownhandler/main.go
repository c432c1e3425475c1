// Command ownhandler shows how to meter a handler of your own that is no inference
// server: it counts what each call used and reports it to the gate.
//
// It takes the directory of the ledger and the address to listen on. Its first start
// prints a new key with 100 credits:
//
//	go run ./examples/ownhandler ./data 127.0.0.1:8080
//
// Call it with that key:
//
//	curl http://127.0.0.1:8080/shout -H "Authorization: Bearer $KEY" -d '{"prompt":"hello"}'
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

// shout answers with its prompt in capital letters. Each word counts as one token.
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
	accounts := must(ledger.Open(ctx, store))
	gate := middleware.New(accounts, limiter.New(),
		middleware.WithMetered("/shout", ledger.Quantity{InputTokens: 1000, OutputTokens: 1000}))
	if accounts.Empty() {
		key, secret, err := accounts.CreateKey(ctx, ledger.NewKey{Name: "first", Limits: []limits.Row{{RPM: 60}}})
		must(key, err)
		must(accounts.TopUp(ctx, key.Owner, 100*ledger.Credit, "welcome"))
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
