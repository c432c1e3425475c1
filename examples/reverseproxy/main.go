// Command reverseproxy puts the gate in front of any inference server that
// speaks one of the known dialects, without Caddy.
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
	book := must(ledger.Open(ctx, store))
	if book.Empty() {
		key, secret, err := book.CreateKey(ctx, ledger.NewKey{Name: "first", Limits: []limits.Row{{RPM: 60, TPM: 30000}}})
		must(key, err)
		must(book.TopUp(ctx, key.Owner, 100*ledger.Credit, "a present"))
		fmt.Println("key", secret.Reveal())
	}
	upstream := must(url.Parse(os.Args[3]))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			middleware.ReportFailure(r.Context(), http.StatusBadGateway, err) // the gate answers, in the caller's dialect
		},
	}
	listener := must(net.Listen("tcp", os.Args[2]))
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, middleware.New(book, limiter.New())(proxy)))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
