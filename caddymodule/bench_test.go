package caddymodule

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/internal/processor"
)

// BenchmarkGate compares calls through the gate with calls through a bare
// reverse_proxy in the same process, in turns. It prints the CPU time of the whole
// process for one call (client, gateway, upstream and ledger together) and the
// ratio of the two; the ratio of the gateway alone is higher.
func BenchmarkGate(b *testing.B) {
	reply := []byte(`{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 150) + `"}}],"usage":` + chatUsage + `}`)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(reply)
	}))
	defer upstream.Close()
	front, bare, data := freeAddress(b), freeAddress(b), b.TempDir()
	adapted := toJSON(b, fmt.Sprintf(`{
	penstock {
		ledger sqlite %s
		model tiny {
			price request 0.000001
		}
		bootstrap demo
	}
}
http://%s {
	penstock_proxy %[4]s
}
http://%[3]s {
	reverse_proxy %[4]s {
		transport http {
			keepalive_idle_conns_per_host 1024
		}
	}
}
`, data, front, bare, strings.TrimPrefix(upstream.URL, "http://")))
	if err := caddy.Load(adapted, true); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = caddy.Stop() }()
	key := keyFrom(b, data, "demo.key")
	body := []byte(`{"model":"tiny","max_tokens":100,"messages":[{"role":"user","content":"` + strings.Repeat("hello ", 150) + `"}]}`)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}
	defer client.CloseIdleConnections()
	send := func(address string, calls int) time.Duration {
		before := processor.Time()
		done := make(chan error, 256)
		for range cap(done) {
			go func() {
				for range calls / cap(done) {
					if err := post(client, "http://"+address+"/v1/chat/completions", key, body); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		return (processor.Time() - before) / time.Duration(calls/cap(done)*cap(done))
	}
	const calls = 256 * 20
	send(front, calls)
	send(bare, calls)
	var ratios, gated, plain []float64
	for b.Loop() {
		with, without := send(front, calls), send(bare, calls)
		gated, plain = append(gated, float64(with)), append(plain, float64(without))
		ratios = append(ratios, float64(with)/float64(without))
	}
	b.ReportMetric(median(gated), "ns-cpu/gated")
	b.ReportMetric(median(plain), "ns-cpu/bare")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op")
}

func post(client *http.Client, url, key string, body []byte) error {
	request, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if _, err := io.Copy(io.Discard, reply.Body); err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", reply.StatusCode)
	}
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
