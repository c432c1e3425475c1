// Command reverseproxy shows the gate without Caddy: a reverse proxy of the standard
// library in front of an inference server that speaks one of the known dialects, such as
// vLLM, Ollama or llama-server.
//
// It takes the directory of the ledger, the address to listen on and the URL of the
// server. Its first start prints a new key with 100 credits:
//
//	go run ./examples/reverseproxy ./data 127.0.0.1:8080 http://127.0.0.1:8000
//
// Call it with that key:
//
//	curl http://127.0.0.1:8080/v1/chat/completions -H "Authorization: Bearer $KEY" \
//	  -d '{"model":"tiny","messages":[{"role":"user","content":"Hello"}]}'
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: reverseproxy DATA-DIRECTORY LISTEN-ADDRESS UPSTREAM-URL")
	}
	ctx := context.Background()
	store := must(sqlitestore.Open(ctx, os.Args[1]))
	accounts := must(ledger.Open(ctx, store))
	if accounts.Empty() {
		key, secret, err := accounts.CreateKey(ctx, ledger.NewKey{Name: "first", Limits: []limits.Row{{RPM: 60, TPM: 30000}}})
		must(key, err)
		must(accounts.TopUp(ctx, key.Owner, 100*ledger.Credit, "welcome"))
		fmt.Println("key", secret.Reveal())
	}
	upstream := must(url.Parse(os.Args[3]))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			middleware.ReportFailure(r.Context(), http.StatusBadGateway, err) // the gate writes the error, in the client's dialect
		},
	}
	listener := must(net.Listen("tcp", os.Args[2]))
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, middleware.New(accounts, limiter.New())(proxy)))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
