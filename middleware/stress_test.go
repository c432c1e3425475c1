package middleware_test

import (
	"bytes"
	"context"
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

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// Upstreams that answer before the body has come, clients that leave at any time
// and transports that go on reading: no call sees a byte of another one, and each
// is settled once.
func TestCallsThatEndEarlyDoNotTouchEachOther(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", http2), func(t *testing.T) {
			upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				letter := r.Header.Get("X-Letter")
				switch r.Header.Get("X-Way") {
				case "early":
					io.ReadFull(r.Body, make([]byte, 1<<10))
				case "abort":
					io.ReadFull(r.Body, make([]byte, 1<<10))
					panic(http.ErrAbortHandler)
				default:
					body, err := io.ReadAll(r.Body)
					if err != nil {
						return // the client left
					}
					upper := bytes.Map(func(c rune) rune {
						if c >= 'A' && c <= 'Z' {
							return c
						}
						return -1
					}, body)
					if len(upper) != 32<<10 || len(bytes.Trim(upper, letter)) > 0 {
						t.Errorf("a call of %s came with %d letters, %d of other calls", letter, len(upper), len(bytes.Trim(upper, letter)))
					}
				}
				w.Header().Set("Content-Type", "text/event-stream")
				w.Header().Set("X-Letter", letter)
				for range 5 {
					io.WriteString(w, wordEvent)
					w.(http.Flusher).Flush()
				}
				io.WriteString(w, finishEvent+usageEvent+doneEvent)
			}))
			upstream.EnableHTTP2 = http2
			if http2 {
				upstream.StartTLS()
			} else {
				upstream.Start()
			}
			defer upstream.Close()
			target, err := url.Parse(upstream.URL)
			if err != nil {
				t.Fatal(err)
			}
			transport := upstream.Client().Transport.(*http.Transport)
			defer transport.CloseIdleConnections()
			h := build(t, chat, ledger.NewKey{})
			// Calls whose clients left hold credit until their handlers have returned.
			if _, err := h.ledger.TopUp(t.Context(), h.key.Owner, 1000*ledger.Credit, "for all at once"); err != nil {
				t.Fatal(err)
			}
			proxy := &httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport,
				ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
					middleware.ReportFailure(r.Context(), http.StatusBadGateway, err)
				},
			}
			h.gateway.Config.Handler = middleware.New(h.ledger, h.limiter, middleware.WithObserver(h.reports))(proxy)
			const callers, calls = 8, 20
			var group sync.WaitGroup
			for caller := range callers {
				group.Go(func() {
					for i := range calls {
						letter := string(rune('A' + (caller*calls+i)%26))
						way := []string{"whole", "early", "leave", "whole", "abort"}[i%5]
						ctx, cancel := context.WithCancel(t.Context())
						request, err := http.NewRequestWithContext(ctx, "POST", h.gateway.URL+"/v1/chat/completions", strings.NewReader(longCall(letter[0])))
						if err != nil {
							panic(err)
						}
						request.Header = http.Header{"Authorization": {"Bearer " + h.text}, "X-Letter": {letter}, "X-Way": {way}}
						if way == "leave" {
							time.AfterFunc(time.Duration(i)*100*time.Microsecond, cancel)
						}
						response, err := http.DefaultClient.Do(request)
						if err == nil {
							got := response.Header.Get("X-Letter")
							io.Copy(io.Discard, response.Body)
							response.Body.Close()
							if way == "whole" && (response.StatusCode != 200 || got != letter || response.Header.Get("X-Request-Id") != response.Header.Get("Request-Id")) {
								t.Errorf("a call of %s was answered %d with %v", letter, response.StatusCode, response.Header)
							}
						} else if way == "whole" {
							t.Error(err)
						}
						cancel()
					}
				})
			}
			group.Wait()
			deadline := time.Now().Add(10 * time.Second)
			for h.account().Held > 0 && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			if account := h.account(); account.Held != 0 {
				t.Errorf("still held: %+v", account)
			}
		})
	}
}
