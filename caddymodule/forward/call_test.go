package forward_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/caddymodule/internal/inflight"
	"github.com/penstockhq/penstock/internal/testkit"
)

// placeholders is a handler that notes the values of placeholders when the next one has
// returned.
type placeholders struct{ Server string }

var noted sync.Map // of names and values, by server

func init() { caddy.RegisterModule(new(placeholders)) }

func (*placeholders) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_placeholders", New: func() caddy.Module { return new(placeholders) }}
}

func (p *placeholders) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	err := next.ServeHTTP(w, r)
	values := make(map[string]string)
	replacer := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	for _, name := range []string{
		"upstream.address", "upstream.hostport", "upstream.host", "upstream.port", "upstream.requests",
		"upstream.max_requests", "upstream.fails", "upstream.latency", "upstream.latency_ms", "upstream.duration",
		"upstream.duration_ms", "duration", "duration_ms", "retries", "status_code", "status_text", "header.Content-Type",
		"header.X-Twice", "header.None", "unknown",
	} {
		value, known := replacer.Get("http.reverse_proxy." + name)
		text := fmt.Sprintf("%T %v %t", value, value, known)
		if strings.Contains(name, "duration") || strings.Contains(name, "latency") {
			text = fmt.Sprintf("%T %t", value, known)
		}
		values[name] = text
	}
	noted.Store(p.Server, values)
	return err
}

// serve runs a server with a handler for each upstream list and returns their addresses.
func serve(t testing.TB, before string, proxies ...string) []string {
	t.Helper()
	addresses, servers := make([]string, len(proxies)), make([]string, len(proxies))
	for i, proxy := range proxies {
		addresses[i] = testkit.FreeAddress(t)
		first := strings.ReplaceAll(before, "SERVER", fmt.Sprint(i))
		servers[i] = fmt.Sprintf(`"s%d":{"listen":["%s"],"automatic_https":{"disable":true},"routes":[{"handle":[%s{"handler":"test_memory"},%s]}]}`,
			i, addresses[i], first, proxy)
	}
	load(t, `"http":{"servers":{`+strings.Join(servers, ",")+`}}`)
	return addresses
}

// forwarding returns the JSON of the handler, for a proxy with members besides upstreams.
func forwarding(more string, upstreams ...string) string {
	return `{"handler":"penstock_forward","proxy":` + proxying(more, upstreams...) + `}`
}

func proxying(more string, upstreams ...string) string {
	list := make([]string, len(upstreams))
	for i, address := range upstreams {
		list[i] = fmt.Sprintf(`{"dial":"%s"}`, address)
	}
	return `{"handler":"reverse_proxy","upstreams":[` + strings.Join(list, ",") + `]` + more + `}`
}

func TestPlaceholdersHaveTheValuesOfReverseProxy(t *testing.T) {
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Twice"] = []string{"a", "b"}
		w.Header().Set("Content-Type", "text/x")
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(u.Close)
	upstream := u.Listener.Addr().String()
	dead := testkit.FreeAddress(t)
	for name, upstreams := range map[string][]string{"answers": {upstream}, "is dead": {dead}, "is the second": {dead, upstream}} {
		t.Run(name, func(t *testing.T) {
			const more = `,"load_balancing":{"retries":1,"selection_policy":{"policy":"round_robin"}}`
			addresses := serve(t, `{"handler":"test_placeholders","server":"SERVER"},`, forwarding(more, upstreams...), proxying(more, upstreams...))
			var values [2]string
			for i, address := range addresses {
				for range 2 { // both have chosen both
					if response, err := http.Get("http://" + address); err == nil {
						response.Body.Close()
					}
				}
				testkit.Eventually(t, "the handler has returned", func() bool { _, ok := noted.Load(fmt.Sprint(i)); return ok })
				got, _ := noted.LoadAndDelete(fmt.Sprint(i))
				text, _ := json.MarshalIndent(got, "", " ")
				values[i] = string(text)
			}
			if values[ours] != values[caddys] {
				t.Errorf("ours:\n%s\nreverse_proxy:\n%s", values[ours], values[caddys])
			}
		})
	}
}

// waiting is an upstream that takes requests and does nothing until it is let go.
type waiting struct {
	*rawUpstream
	came chan string   // heads
	gone chan struct{} // gets one for each connection that the other side has closed
}

func newWaiting(t *testing.T, answer string) *waiting {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &waiting{rawUpstream: &rawUpstream{listener: listener}, came: make(chan string, 9), gone: make(chan struct{}, 9)}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				in := bufio.NewReader(connection)
				head, length, err := readHead(in)
				if err != nil {
					return
				}
				in.Discard(length)
				io.WriteString(connection, answer)
				w.came <- head
				io.Copy(io.Discard, in)
				w.gone <- struct{}{}
			}()
		}
	}()
	return w
}

func (w *waiting) address() string { return w.listener.Addr().String() }

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Fatal("not within 3 s: " + what)
	}
}

func TestTheUpstreamIsLeftWhenTheClientLeaves(t *testing.T) {
	for name, answer := range map[string]string{
		"before the reply": "",
		"in a stream":      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\n\n\r\n",
		"in a whole reply": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			u := newWaiting(t, answer)
			address := serve(t, "", forwarding("", u.address()))[0]
			client, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(client, post)
			<-u.came
			if n := inflight.Of(u.address()).Load(); n != 1 {
				t.Errorf("%d calls in flight", n)
			}
			if strings.Contains(answer, "event-stream") {
				if _, err := client.Read(make([]byte, 1)); err != nil {
					t.Fatalf("the header of the stream: %v", err)
				}
			}
			client.Close()
			within(t, "the upstream's connection closes", u.gone)
			testkit.Eventually(t, "no call is in flight", func() bool { return inflight.Of(u.address()).Load() == 0 })
		})
	}
}

func TestAnEarlyReplyPassesWhileTheBodyIsStuck(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{}, 9)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				readHead(bufio.NewReader(connection)) // and no more of the body than was buffered
				io.WriteString(connection, "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 3\r\n\r\nbig")
				time.Sleep(200 * time.Millisecond)
				done <- struct{}{}
			}()
		}
	}()
	address := serve(t, "", forwarding("", listener.Addr().String()))[0]
	for range 2 {
		response, err := http.Post("http://"+address, "text/plain", strings.NewReader(strings.Repeat("a", 32<<20)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge || string(body) != "big" || err != nil {
			t.Errorf("%s %q, %v", response.Status, body, err)
		}
		within(t, "the upstream has had its time", done)
	}
}

func TestAConnectionThatTheUpstreamClosedIsNotUsed(t *testing.T) {
	s := startTwins(t)
	client := new(rawClient)
	defer client.close()
	u := s.upstreams[ours]
	u.begin(script{replies: []string{reply}})
	for i := range 5 {
		if got := client.exchange(t, s.addresses[ours], post); !strings.Contains(got, "200 OK") {
			t.Fatalf("call %d: %s", i, got)
		}
		u.closeAll()
		time.Sleep(10 * time.Millisecond)
	}
}

func TestWhatComesOnAnIdleConnectionAnswersNobody(t *testing.T) {
	s := startTwins(t)
	client := new(rawClient)
	defer client.close()
	u := s.upstreams[ours]
	u.begin(script{replies: []string{reply}})
	client.exchange(t, s.addresses[ours], post)
	u.mutex.Lock()
	for connection := range u.open {
		io.WriteString(connection, "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil")
	}
	u.mutex.Unlock()
	time.Sleep(10 * time.Millisecond)
	if got := client.exchange(t, s.addresses[ours], post); strings.Contains(got, "evil") || !strings.Contains(got, "{}") {
		t.Errorf("the next call got %s", got)
	}
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.connections != 2 {
		t.Errorf("%d connections, want a second one", u.connections)
	}
}

func TestOnlyWhatDoesNoHarmIsTriedAgain(t *testing.T) {
	dead := testkit.FreeAddress(t)
	breaks, works := newRawUpstream(t), newRawUpstream(t)
	breaks.begin(script{replies: []string{""}, closes: true})
	works.begin(script{replies: []string{reply}})
	more := `,"load_balancing":{"retries":1,"selection_policy":{"policy":"round_robin"}}`
	addresses := serve(t, "", forwarding(more, dead, works.listener.Addr().String()), forwarding(more, breaks.listener.Addr().String(), works.listener.Addr().String()))
	for name, test := range map[string]struct {
		address, request string
		fails            int // of 4
	}{
		"post, not connected": {addresses[0], post, 0},
		"get, not connected":  {addresses[0], get, 0},
		"post, reached":       {addresses[1], post, 2},
		"get, reached":        {addresses[1], get, 0},
	} {
		t.Run(name, func(t *testing.T) {
			fails := 0
			for range 4 {
				client := new(rawClient)
				if got := client.exchange(t, test.address, test.request); !strings.Contains(got, "200 OK") {
					fails++
				}
				client.close()
			}
			if fails != test.fails {
				t.Errorf("%d of 4 fail, want %d", fails, test.fails)
			}
		})
	}
}

func TestOtherProtocolsPassThroughTheProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		in := bufio.NewReader(connection)
		readHead(in)
		io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(connection, in)
	}()
	address := serve(t, "", forwarding("", listener.Addr().String()))[0]
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
	in := bufio.NewReader(client)
	if head, _, err := readHead(in); err != nil || !strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Fatalf("%q, %v", head, err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(in, echo); err != nil || string(echo) != "hello" {
		t.Errorf("%q, %v", echo, err)
	}
}

func TestAReplyThatSwitchesUnaskedIsAnError(t *testing.T) {
	u := newRawUpstream(t)
	for _, answer := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
		"HTTP/1.1 042 What\r\nContent-Length: 0\r\n\r\n",
	} {
		u.begin(script{replies: []string{answer}})
		address := serve(t, "", forwarding("", u.listener.Addr().String()))[0]
		client := new(rawClient)
		if got := client.exchange(t, address, post); !strings.Contains(got, "502 Bad Gateway") {
			t.Errorf("%q: got %s", answer, got)
		}
		client.close()
	}
}
