package forward_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/penstockhq/penstock/caddymodule/forward"
	"github.com/penstockhq/penstock/internal/testkit"
)

// memory is a handler that reads the body, as the gate does.
type memory struct{}

func init() { caddy.RegisterModule(new(memory)) }

func (*memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_memory", New: func() caddy.Module { return new(memory) }}
}

func (*memory) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	if len(r.Trailer) == 0 {
		r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	}
	r.Header.Del("Expect")
	return next.ServeHTTP(w, r)
}

// withhold is a handler that does not want the X-Forwarded headers sent.
type withhold struct{}

func init() { caddy.RegisterModule(new(withhold)) }

func (*withhold) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_withhold", New: func() caddy.Module { return new(withhold) }}
}

func (*withhold) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	for _, name := range []string{"For", "Proto", "Host"} {
		r.Header["X-Forwarded-"+name] = nil
	}
	return next.ServeHTTP(w, r)
}

// script is what an upstream does on a connection, after it has read a request.
type script struct {
	replies []string // in turns, one for each request on a connection
	pieces  int      // the reply is sent in that many pieces; 0: one
	closes  bool     // the connection is closed after a reply
	unread  bool     // the reply is sent before the body is read
}

// rawUpstream is a server that says what a script says, byte for byte.
type rawUpstream struct {
	listener net.Listener

	mutex       sync.Mutex
	script      script
	saw         []string // requests, as the upstream read them
	connections int
	open        map[net.Conn]bool
}

func newRawUpstream(t testing.TB) *rawUpstream {
	t.Helper()
	return newRawUpstreamAt(t, "tcp", "127.0.0.1:0")
}

func newRawUpstreamAt(t testing.TB, network, address string) *rawUpstream {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	u := &rawUpstream{listener: listener, open: make(map[net.Conn]bool)}
	t.Cleanup(func() { listener.Close(); u.closeAll() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			u.mutex.Lock()
			u.connections++
			u.open[connection] = true
			u.mutex.Unlock()
			go u.serve(connection)
		}
	}()
	return u
}

// closeAll closes the connections and returns how many there were.
func (u *rawUpstream) closeAll() int {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	for connection := range u.open {
		connection.Close()
	}
	return len(u.open)
}

// begin starts over with a script, on new connections.
func (u *rawUpstream) begin(s script) {
	if u.closeAll() > 0 {
		time.Sleep(5 * time.Millisecond) // Caddy's transport learns of it in a goroutine
	}
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.script, u.saw, u.connections = s, nil, 0
}

func (u *rawUpstream) serve(connection net.Conn) {
	defer func() {
		connection.Close()
		u.mutex.Lock()
		delete(u.open, connection)
		u.mutex.Unlock()
	}()
	in := bufio.NewReader(connection)
	for turn := 0; ; turn++ {
		u.mutex.Lock()
		s := u.script
		u.mutex.Unlock()
		head, length, err := readHead(in)
		if err != nil {
			return
		}
		reply := s.replies[turn%len(s.replies)]
		body := make([]byte, length)
		if !s.unread {
			if _, err := io.ReadFull(in, body); err != nil {
				return
			}
		}
		if strings.Contains(head, "\r\nTransfer-Encoding: chunked\r\n") {
			if body, err = readChunks(in); err != nil {
				return
			}
		}
		u.mutex.Lock()
		u.saw = append(u.saw, normalRequest(head)+string(body))
		u.mutex.Unlock()
		if !sendPieces(connection, reply, s.pieces) || s.closes {
			return
		}
		if s.unread {
			time.Sleep(20 * time.Millisecond) // else the reply may be lost to a reset
			return
		}
	}
}

func sendPieces(w io.Writer, text string, pieces int) bool {
	for i := range max(pieces, 1) {
		n := len(text) / (max(pieces, 1) - i)
		if _, err := io.WriteString(w, text[:n]); err != nil {
			return false
		}
		if text = text[n:]; text != "" {
			time.Sleep(2 * time.Millisecond)
		}
	}
	return true
}

// readHead reads the request line and the header, as they are, and how long the body is.
func readHead(in *bufio.Reader) (head string, length int, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", 0, err
		}
		head += line
		if value, found := strings.CutPrefix(line, "Content-Length: "); found {
			fmt.Sscan(value, &length)
		}
		if line == "\r\n" {
			return head, length, nil
		}
	}
}

// readChunks reads a chunked body with its trailers, as it is.
func readChunks(in *bufio.Reader) (raw []byte, err error) {
	for last := false; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		raw = append(raw, line...)
		if last = last || line == "0\r\n"; last && line == "\r\n" {
			return raw, nil
		}
	}
}

// normalRequest sorts the header. Caddy's transport asks for gzip by itself.
func normalRequest(head string) string {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "Accept-Encoding: gzip" })
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n") + "\n\n"
}

// twins are two servers that differ only in what forwards: ours and Caddy's.
type twins struct {
	addresses [2]string
	upstreams [2]*rawUpstream
}

const ours, caddys = 0, 1

func startTwins(t testing.TB) *twins {
	t.Helper()
	s := new(twins)
	servers := make([]string, 2)
	for i, handler := range []string{
		`{"handler":"penstock_forward","proxy":{"handler":"reverse_proxy","upstreams":[{"dial":"%s"}]}}`,
		`{"handler":"reverse_proxy","upstreams":[{"dial":"%s"}]}`,
	} {
		s.upstreams[i] = newRawUpstream(t)
		s.addresses[i] = testkit.FreeAddress(t)
		servers[i] = fmt.Sprintf(`"s%d":{"listen":["%s"],"automatic_https":{"disable":true},"routes":[{"handle":[{"handler":"test_memory"},%s]}]}`,
			i, s.addresses[i], fmt.Sprintf(handler, s.upstreams[i].listener.Addr()))
	}
	load(t, `"http":{"servers":{`+strings.Join(servers, ",")+`}}`)
	return s
}

// load runs a configuration of Caddy until the test ends.
func load(t testing.TB, apps string) {
	t.Helper()
	config := `{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"level":"PANIC"}}},"apps":{` + apps + `}}`
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// exchange sends a request to a server, as often as is said, on one connection as long as
// that lasts, and returns all that can be seen of it from both sides.
func (s *twins) exchange(t testing.TB, which int, request string, times int, act script) string {
	t.Helper()
	s.upstreams[which].begin(act)
	var seen strings.Builder
	client := new(rawClient)
	for i := range times {
		if i > 0 {
			time.Sleep(5 * time.Millisecond) // until Caddy's goroutines see what the upstream has closed
		}
		seen.WriteString(client.exchange(t, s.addresses[which], request))
	}
	client.close()
	u := s.upstreams[which]
	u.mutex.Lock()
	defer u.mutex.Unlock()
	fmt.Fprintf(&seen, "--- %d connections to the upstream, which saw\n%s", u.connections, strings.Join(u.saw, "\n"))
	return seen.String()
}

// compare fails the test where the two servers differ.
func (s *twins) compare(t *testing.T, request string, times int, act script) string {
	t.Helper()
	mine, theirs := s.exchange(t, ours, request, times, act), s.exchange(t, caddys, request, times, act)
	if mine != theirs {
		t.Errorf("request %.200q, reply %q:\nours:\n%s\n\nreverse_proxy:\n%s", request, act.replies[0][:min(200, len(act.replies[0]))], clip(mine), clip(theirs))
	}
	return mine
}

// clip shortens what a failed test prints.
func clip(text string) string {
	if len(text) > 4000 {
		text = text[:2000] + " ... " + text[len(text)-2000:]
	}
	return text
}

// rawClient sends bytes and reads replies.
type rawClient struct {
	connection net.Conn
	in         *bufio.Reader
}

func (c *rawClient) close() {
	if c.connection != nil {
		c.connection.Close()
		c.connection = nil
	}
}

func (c *rawClient) exchange(t testing.TB, address, request string) string {
	t.Helper()
	var seen strings.Builder
	if c.connection == nil {
		var err error
		if c.connection, err = net.Dial("tcp", address); err != nil {
			t.Fatal(err)
		}
		c.in = bufio.NewReader(c.connection)
		seen.WriteString("--- a connection of the client\n")
	}
	c.connection.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(c.connection, request); err != nil {
		c.close()
		return seen.String() + "not taken\n"
	}
	method, _, _ := strings.Cut(request, " ")
	for {
		response, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err != nil {
			c.close()
			fmt.Fprintf(&seen, "no reply: %s\n", short(err))
			return seen.String()
		}
		body, err := io.ReadAll(response.Body)
		writeReply(&seen, response, body, err)
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			if response.Close || err != nil {
				c.close()
			}
			return seen.String()
		}
	}
}

// short drops the addresses from errors.
func short(err error) string {
	var failure net.Error
	switch {
	case errors.As(err, &failure) && failure.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "reset"):
		return "closed"
	}
	return err.Error()
}

func writeReply(seen *strings.Builder, r *http.Response, body []byte, err error) {
	fmt.Fprintf(seen, "%s %s, length %d, %v\n", r.Proto, r.Status, r.ContentLength, r.TransferEncoding)
	writeHeader(seen, "", r.Header)
	fmt.Fprintf(seen, "%q\n", body)
	if err != nil {
		fmt.Fprintf(seen, "cut: %s\n", short(err))
	}
	writeHeader(seen, "trailer ", r.Trailer)
}

func writeHeader(seen *strings.Builder, prefix string, header http.Header) {
	var lines []string
	for name, values := range header {
		switch {
		case name == "Date":
			values = []string{"-"} // net/http's own if the upstream sends none
		case name == "Trailer":
			values = strings.Split(strings.Join(values, ", "), ", ") // in the order of a map
			slices.Sort(values)
		case name == "Content-Type" && values[0] == "text/plain; charset=utf-8":
			// What net/http makes of the first piece, if nothing has left before that.
			// With reverse_proxy that is a race between two goroutines.
			continue
		}
		lines = append(lines, fmt.Sprintf("%s%s: %q\n", prefix, name, values))
	}
	slices.Sort(lines)
	seen.WriteString(strings.Join(lines, ""))
}
