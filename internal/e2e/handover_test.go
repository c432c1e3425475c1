package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// relayed starts an instance whose upstream is a handler of the test, and that takes its
// ledger over from the one before.
func relayed(t *testing.T, handler http.HandlerFunc) *instance {
	t.Helper()
	upstream := httptest.NewServer(handler)
	t.Cleanup(upstream.Close)
	i := exampleInstance(t, func(config string) string {
		port := regexp.MustCompile(`penstock_proxy localhost:(\d+)`).FindStringSubmatch(config)[1]
		config = strings.ReplaceAll(config, "localhost:"+port, upstream.Listener.Addr().String())
		return strings.Replace(config, "\tpenstock {\n", "\tpenstock {\n\t\ttake_over\n", 1)
	})
	i.start()
	return i
}

// successor is another process of the same configuration, which is not started yet.
func (i *instance) successor() *instance {
	return &instance{t: i.t, data: i.data, config: i.config, gateway: i.gateway, admin: i.admin}
}

// probes are calls that are made one after the other, each with a connection of its own.
type probes struct {
	mutex   sync.Mutex
	seen    []seenCharge
	refused time.Duration // the longest time for which no call was answered
	stop    chan struct{}
	done    sync.WaitGroup
}

// probe calls 50 times a second until stop is closed.
func (i *instance) probe(key string) *probes {
	p := &probes{stop: make(chan struct{})}
	transport := &http.Transport{DisableKeepAlives: true}
	p.done.Go(func() {
		var calls sync.WaitGroup
		defer calls.Wait()
		lastAnswer := time.Now()
		for {
			select {
			case <-p.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			calls.Go(func() {
				began := time.Now()
				request, _ := http.NewRequest("POST", "http://"+i.gateway+"/v1/chat/completions", strings.NewReader(chatBody))
				request.Header.Set("Authorization", "Bearer "+key)
				response, err := transport.RoundTrip(request)
				if err != nil {
					return
				}
				defer response.Body.Close()
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != 200 {
					return
				}
				p.mutex.Lock()
				defer p.mutex.Unlock()
				p.refused = max(p.refused, began.Sub(lastAnswer))
				if began.After(lastAnswer) {
					lastAnswer = began
				}
				p.seen = append(p.seen, seenCharge{response.Header.Get("X-Request-Id"), micro(i.t, response.Header.Get("X-Penstock-Credits-Charged"))})
			})
		}
	})
	return p
}

// end stops the calls and returns what their clients saw.
func (p *probes) end() []seenCharge {
	close(p.stop)
	p.done.Wait()
	return p.seen
}

// stream makes a streamed call and reports what its client saw, nothing if the answer has
// no end.
func (i *instance) stream(key string) (seen seenCharge, whole bool) {
	request, err := http.NewRequest("POST", "http://"+i.gateway+"/v1/chat/completions", strings.NewReader(strings.Replace(chatBody, "{", `{"stream":true,`, 1)))
	if err != nil {
		return seen, false
	}
	request.Header.Set("Authorization", "Bearer "+key)
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return seen, false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !bytes.HasSuffix(text, []byte("data: [DONE]\n\n")) {
		return seen, false
	}
	return seenCharge{response.Header.Get("X-Request-Id"), micro(i.t, response.Trailer.Get("X-Penstock-Credits-Charged"))}, true
}

// assertCharged checks that what clients saw is in the ledger once, and that its entries
// and balances agree.
func (i *instance) assertCharged(admin string, seen []seenCharge) {
	i.t.Helper()
	charged := i.chargesByRequest(admin)
	for _, one := range seen {
		if entries := charged[one.request]; len(entries) != 1 || entries[0] != one.micro {
			i.t.Errorf("request %s: the client saw %d, the ledger has %v", one.request, one.micro, entries)
		}
	}
	var spent int64
	for request, entries := range charged {
		if len(entries) != 1 {
			i.t.Errorf("request %s is charged %d times", request, len(entries))
		}
		for _, one := range entries {
			spent += one
		}
	}
	// What a killed process held after it handed the ledger over is given back at the
	// calls' deadlines.
	if account := i.account(); account.Spent != spent || account.Available+account.Held != 100_000_000-spent {
		i.t.Errorf("the entries sum to %d, the account says %+v", spent, account)
	}
	if out, err := i.run("penstock", "ledger", "verify", "--data", i.data); err != nil {
		i.t.Errorf("verify: %v\n%s", err, out)
	}
}

const busyKey = `{"name":"busy","owner":"demo","limits":{"rpm":1000000,"tpm":1000000000}}`

func TestANewProcessTakesOverWhileStreamsRun(t *testing.T) {
	const streams = 5
	var started sync.WaitGroup
	finish := make(chan struct{})
	started.Add(streams)
	old := relayed(t, func(w http.ResponseWriter, r *http.Request) {
		begun := make(chan struct{})
		go func() { <-begun; started.Done() }()
		if body, _ := io.ReadAll(r.Body); !bytes.Contains(body, []byte(`"stream":true`)) {
			io.WriteString(w, `{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`)
			return
		} else {
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		slowStream(begun, finish)(w, r)
	})
	admin := old.key("admin")
	_, key := old.createKey(admin, busyKey)
	probes := old.probe(key)
	var mutex sync.Mutex
	var seen []seenCharge
	var done sync.WaitGroup
	for range streams {
		done.Go(func() {
			one, whole := old.stream(key)
			if !whole {
				t.Error("a stream was cut")
			}
			mutex.Lock()
			seen = append(seen, one)
			mutex.Unlock()
		})
	}
	started.Wait()
	next := old.successor()
	next.start()
	time.Sleep(500 * time.Millisecond)
	select {
	case <-old.exited:
		t.Fatalf("the old process ended while its streams ran:\n%s", old.log)
	default:
	}
	close(finish)
	done.Wait()
	select {
	case <-old.exited:
	case <-time.After(20 * time.Second):
		t.Fatalf("the old process does not end:\n%s", old.log)
	}
	if code := old.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the old process ends with %d", code)
	}
	seen = append(seen, probes.end()...)
	t.Logf("%d probes, the longest time without an answer %s", len(seen)-streams, probes.refused)
	if probes.refused >= time.Second {
		t.Errorf("calls were refused for %s", probes.refused)
	}
	next.assertCharged(admin, seen)
}

// Whichever process dies, and whenever, what clients saw is charged once.
func TestAKillDuringAHandOverChargesOnce(t *testing.T) {
	i := relayed(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); !bytes.Contains(body, []byte(`"stream":true`)) {
			io.WriteString(w, `{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 10 {
			io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
			http.NewResponseController(w).Flush()
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		}
		io.WriteString(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":10}}\n\ndata: [DONE]\n\n")
	})
	admin := i.key("admin")
	_, key := i.createKey(admin, busyKey)
	var seen []seenCharge
	for round := range 4 {
		probes := i.probe(key)
		var done sync.WaitGroup
		for range 8 {
			done.Go(func() {
				for range 4 {
					if one, whole := i.stream(key); whole {
						probes.mutex.Lock()
						probes.seen = append(probes.seen, one)
						probes.mutex.Unlock()
					}
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		next := i.successor()
		next.begin()
		time.Sleep(time.Duration(round/2) * 150 * time.Millisecond)
		victim, other := i, next
		if round%2 == 1 {
			victim, other = next, i
		}
		time.Sleep(time.Duration(200+rand.IntN(600)) * time.Millisecond)
		victim.kill()
		done.Wait()
		seen = append(seen, probes.end()...)
		if victim == i {
			next.await() // it has the ledger, or finds it free
		} else {
			other.kill()
			next = i.successor()
			next.start()
		}
		i = next
		i.assertCharged(admin, seen)
	}
	if len(seen) == 0 {
		t.Error("no call was complete: the test tests nothing")
	}
	t.Logf("%d answers were complete", len(seen))
}
