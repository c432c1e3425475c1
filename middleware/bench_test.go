package middleware_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/cputime"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
)

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// request1K is a call of about 1 KiB.
var request1K = `{"model":"tiny","max_tokens":50,"messages":[{"role":"user","content":"` + strings.Repeat("word ", 190) + `"}]}`

// bare calls a handler without a gate through a server of its own.
func bare(b *testing.B, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	return server.URL
}

func call(b *testing.B, url, key, body string) *http.Response {
	request, err := http.NewRequest("POST", url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != 200 {
		b.Fatal(response, err)
	}
	return response
}

// BenchmarkFirstByte compares the time to the first byte of a call of 1 KiB
// behind the gate and beside it, in turns, so that both see the same machine. The
// gate's share holds the handler's part of a durable charge only for the JSON
// reply: a stream's first byte does not wait for a disk.
func BenchmarkFirstByte(b *testing.B) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, wordEvent)
		w.(http.Flusher).Flush()
		io.WriteString(w, finishEvent+usageEvent+doneEvent)
	}
	h := build(b, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 1 << 30, TPM: 1 << 40}}})
	h.wrap(handler)
	plain := bare(b, handler)
	body := strings.Replace(request1K, `"model"`, `"stream":true,"model"`, 1)
	var gated, direct []float64
	first := func(url string) float64 {
		start := time.Now()
		response := call(b, url, h.text, body)
		one := make([]byte, 1)
		if _, err := io.ReadFull(response.Body, one); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return float64(took.Nanoseconds()) / 1000
	}
	for b.Loop() {
		direct = append(direct, first(plain))
		gated = append(gated, first(h.gateway.URL))
	}
	b.ReportMetric(median(direct), "bare-µs")
	b.ReportMetric(median(gated), "gated-µs")
	b.ReportMetric(median(gated)-median(direct), "added-µs")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkChunkDelay compares how long a chunk is on its way, from the
// handler's write to the client's read, behind the gate and beside it.
func BenchmarkChunkDelay(b *testing.B) {
	sent := make(chan time.Time, 1)
	next := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for range next {
			sent <- time.Now()
			io.WriteString(w, wordEvent)
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, finishEvent+usageEvent+doneEvent)
	}
	h := build(b, chat, ledger.NewKey{})
	h.wrap(handler)
	plain := bare(b, handler)
	body := strings.Replace(request1K, `"model"`, `"stream":true,"model"`, 1)
	round := func(url string) float64 {
		response := call(b, url, h.text, body)
		reader := bufio.NewReader(response.Body)
		var delays []float64
		for range 200 {
			next <- struct{}{}
			if _, err := io.ReadFull(reader, make([]byte, len(wordEvent))); err != nil {
				b.Fatal(err)
			}
			delays = append(delays, float64(time.Since(<-sent).Nanoseconds())/1000)
		}
		close(next)
		io.Copy(io.Discard, reader)
		response.Body.Close()
		next = make(chan struct{})
		return median(delays)
	}
	var gated, direct []float64
	for b.Loop() {
		direct = append(direct, round(plain))
		gated = append(gated, round(h.gateway.URL))
	}
	b.ReportMetric(median(direct), "bare-µs")
	b.ReportMetric(median(gated), "gated-µs")
	b.ReportMetric(median(gated)/median(direct), "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCPU compares the processor time of calls behind the gate with that of
// the same calls beside it, client, server and handler included in both.
func BenchmarkCPU(b *testing.B) {
	for _, test := range []struct {
		name, body string
		handler    http.HandlerFunc
	}{
		{"json-1KiB", request1K, chat},
		{"stream-100-chunks", strings.Replace(request1K, `"model"`, `"stream":true,"model"`, 1), func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			for range 100 {
				io.WriteString(w, wordEvent)
				w.(http.Flusher).Flush()
			}
			io.WriteString(w, finishEvent+usageEvent+doneEvent)
		}},
		{"json-200KiB", strings.Replace(request1K, "word ", strings.Repeat("word ", 210), -1), chat},
	} {
		b.Run(test.name, func(b *testing.B) {
			h := build(b, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 1 << 30, TPM: 1 << 40}}})
			h.wrap(test.handler)
			plain := bare(b, test.handler)
			const calls = 50
			round := func(url string) float64 {
				start := cputime.Used()
				for range calls {
					response := call(b, url, h.text, test.body)
					io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				return float64((cputime.Used() - start).Nanoseconds()) / 1000 / calls
			}
			var ratios, gated []float64
			for b.Loop() {
				direct := round(plain)
				behind := round(h.gateway.URL)
				gated = append(gated, behind-direct)
				ratios = append(ratios, behind/direct)
			}
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(median(gated), "added-µs/call")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkRefusal compares a refused call with an admitted one.
func BenchmarkRefusal(b *testing.B) {
	h := build(b, chat, ledger.NewKey{})
	_, limited := h.newKey(ledger.NewKey{Owner: h.key.Owner, Limits: []limits.Row{{RPD: 1}}}, 0) // the benchmark may outlast a minute
	call(b, h.gateway.URL, limited, plainBody).Body.Close()
	for name, key := range map[string]string{"429": limited, "401": "unknown"} {
		b.Run(name, func(b *testing.B) {
			const calls = 50
			round := func(key string, status int) float64 {
				start := cputime.Used()
				for range calls {
					got := h.do("POST", "/v1/chat/completions", request1K, "Authorization", "Bearer "+key)
					if got.status != status {
						b.Fatal(got.status, got.body)
					}
				}
				return float64((cputime.Used() - start).Nanoseconds())
			}
			status := 401
			fmt.Sscan(name, &status)
			var ratios []float64
			for b.Loop() {
				ratios = append(ratios, round(key, status)/round(h.text, 200))
			}
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// forgetful is a store that writes nothing.
type forgetful struct{ *sqlitestore.Store }

func (forgetful) Append(context.Context, []ledger.Entry) error { return nil }

// BenchmarkGate is the gate's own work on a call, without a network and without a
// disk, beside the handler alone.
func BenchmarkGate(b *testing.B) {
	word := []byte(wordEvent)
	stream := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 100 {
			w.Write(word)
		}
		io.WriteString(w, finishEvent+usageEvent+doneEvent)
	}
	plain := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, chatReply)
	}
	store, err := sqlitestore.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	book, err := ledger.Open(b.Context(), forgetful{store})
	if err != nil {
		b.Fatal(err)
	}
	defer book.Close(context.Background())
	key, secret, err := book.CreateKey(b.Context(), ledger.NewKey{Name: "bench", Limits: []limits.Row{{RPM: 1 << 30, TPM: 1 << 40}}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := book.TopUp(b.Context(), key.Owner, 1_000_000*ledger.Credit, "bench"); err != nil {
		b.Fatal(err)
	}
	gate := middleware.New(book, limiter.New(), middleware.WithModels(middleware.Model{Name: "tiny"}))
	for _, test := range []struct {
		name, body, key string
		handler         http.HandlerFunc
	}{
		{"json-1KiB", request1K, secret.Reveal(), plain},
		{"json-200KiB", strings.Replace(request1K, "word ", strings.Repeat("word ", 210), -1), secret.Reveal(), plain},
		{"stream-100-chunks", strings.Replace(request1K, `"model"`, `"stream":true,"model"`, 1), secret.Reveal(), stream},
		{"refused", request1K, "unknown", plain},
	} {
		for i, handler := range []http.Handler{test.handler, gate(test.handler)} {
			b.Run(test.name+"/"+[]string{"bare", "gated"}[i], func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					request := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(test.body))
					request.Header["Authorization"] = []string{"Bearer " + test.key}
					handler.ServeHTTP(httptest.NewRecorder(), request)
				}
			})
		}
	}
}
