package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockhq/penstock/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is a POST of a body.
type message struct {
	body    string
	length  int
	header  string
	interim []int
}

func (m *message) AppendHeader(b []byte) []byte {
	return fmt.Appendf(b, "POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n", m.header, m.length)
}

func (m *message) Body() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(m.body)), nil }

func (m *message) Interim(status int, _ textproto.MIMEHeader) { m.interim = append(m.interim, status) }

// server answers with what answer writes, and returns options that reach it.
func server(t testing.TB, answer func(in *bufio.Reader, connection net.Conn)) Options {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				answer(bufio.NewReader(connection), connection)
			}()
		}
	}()
	return Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
		},
		MaxIdle: 2, IdleTimeout: time.Minute,
	}
}

// echo answers each request with its body.
func echo(in *bufio.Reader, connection net.Conn) {
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func post(ctx context.Context, p *Pool, m *message) (string, error) {
	reply, err := p.RoundTrip(ctx, &Request{Head: &http.Request{Method: "POST"}, Message: m, Length: int64(m.length)})
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(reply.Body)
	reply.End(err == nil)
	return string(body), err
}

func newPool(t testing.TB, options Options) *Pool {
	t.Helper()
	p := NewPool(options)
	t.Cleanup(p.Close)
	return p
}

func TestBodiesOfAnySizeArriveWhole(t *testing.T) {
	p := newPool(t, server(t, echo))
	for _, size := range []int{0, 1, bufferSize - 60, bufferSize - 1, bufferSize, bufferSize + 1, 3*bufferSize + 7, 20 << 20} {
		m := &message{body: strings.Repeat("0123456789abcdefg", size/17+1)[:size], length: size}
		if got, err := post(t.Context(), p, m); err != nil || got != m.body {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
	if n := p.Idle(); n != 1 {
		t.Errorf("%d idle connections, want the one that served all", n)
	}
}

func TestAHeaderMayBeLargerThanTheBuffer(t *testing.T) {
	p := newPool(t, server(t, echo))
	m := &message{body: "ab", length: 2, header: "X-A: " + strings.Repeat("a", 3*bufferSize) + "\r\n"}
	if got, err := post(t.Context(), p, m); err != nil || got != "ab" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestABodyOfAnotherLengthEndsTheConnection(t *testing.T) {
	p := newPool(t, server(t, echo))
	for _, size := range []int{4, 30 << 20} { // the second is sent by the goroutine
		m := &message{body: strings.Repeat("a", size/2), length: size}
		if _, err := post(t.Context(), p, m); !errors.Is(err, errBodyLength) {
			t.Errorf("%d bytes: got %v", size, err)
		}
	}
	if n := p.Idle(); n != 0 {
		t.Errorf("%d idle connections", n)
	}
}

func TestIdleConnectionsExpireAndAreFew(t *testing.T) {
	options := server(t, echo)
	options.IdleTimeout = 30 * time.Millisecond
	p := newPool(t, options)
	replies := make([]Reply, 3)
	for i := range replies {
		m := &message{body: "a", length: 1}
		var err error
		if replies[i], err = p.RoundTrip(t.Context(), &Request{Head: &http.Request{Method: "POST"}, Message: m, Length: 1}); err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, replies[i].Body)
	}
	for i := range replies {
		replies[i].End(true)
	}
	if n := p.Idle(); n != options.MaxIdle {
		t.Errorf("%d idle connections, want %d", n, options.MaxIdle)
	}
	testkit.Eventually(t, "they expire", func() bool { return p.Idle() == 0 })
	post(t.Context(), p, &message{body: "a", length: 1})
	testkit.Eventually(t, "another one expires", func() bool { return p.Idle() == 0 })
}

func TestAClosedPoolKeepsNothing(t *testing.T) {
	p := newPool(t, server(t, echo))
	p.Close()
	if got, err := post(t.Context(), p, &message{body: "a", length: 1}); err != nil || got != "a" || p.Idle() != 0 {
		t.Errorf("got %q, %v, %d idle", got, err, p.Idle())
	}
}

func TestAnUpstreamMustAnswerInTime(t *testing.T) {
	options := server(t, func(in *bufio.Reader, _ net.Conn) { io.Copy(io.Discard, in) })
	options.HeaderTimeout = 20 * time.Millisecond
	_, err := post(t.Context(), newPool(t, options), &message{})
	var failure net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &failure) || !failure.Timeout() {
		t.Errorf("got %v", err)
	}
}

func TestTheTimeForTheHeaderIsNotThatOfTheBody(t *testing.T) {
	options := server(t, func(in *bufio.Reader, connection net.Conn) {
		in.ReadString('\n')
		io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
		time.Sleep(100 * time.Millisecond)
		io.WriteString(connection, "b")
	})
	options.HeaderTimeout = 50 * time.Millisecond
	if got, err := post(t.Context(), newPool(t, options), &message{}); err != nil || got != "ab" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTheHeaderOfAReplyIsLimited(t *testing.T) {
	options := server(t, func(in *bufio.Reader, connection net.Conn) {
		in.ReadString('\n')
		fmt.Fprintf(connection, "HTTP/1.1 103 Early Hints\r\nX-A: %[1]s\r\n\r\nHTTP/1.1 200 OK\r\nX-A: %[1]s\r\nContent-Length: 20000\r\n\r\n%020000d", strings.Repeat("a", 900), 0)
	})
	options.MaxHeader = 5 << 10
	m := new(message)
	if got, err := post(t.Context(), newPool(t, options), m); err != nil || len(got) != 20000 || len(m.interim) != 1 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	options.MaxHeader = 500
	if _, err := post(t.Context(), newPool(t, options), m); !errors.Is(err, errHeaderTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestTheContextEndsACallWithItsCause(t *testing.T) {
	asked := make(chan struct{}, 1)
	options := server(t, func(in *bufio.Reader, _ net.Conn) {
		in.ReadString('\n')
		asked <- struct{}{}
		io.Copy(io.Discard, in)
	})
	p := newPool(t, options)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		<-asked
		cancel(why)
	}()
	if _, err := post(ctx, p, &message{}); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if _, err := post(ctx, p, &message{}); !errors.Is(err, why) || p.Idle() != 0 {
		t.Errorf("a second time: got %v", err)
	}
}

func TestAFailedDialHasReachedNobody(t *testing.T) {
	p := newPool(t, Options{Dial: func(context.Context) (net.Conn, error) { return nil, io.ErrClosedPipe }})
	_, err := post(t.Context(), p, &message{})
	var dial *DialError
	if !errors.As(err, &dial) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	pipe, other := net.Pipe()
	defer other.Close()
	p = newPool(t, Options{Dial: func(context.Context) (net.Conn, error) { return pipe, nil }})
	if _, err := post(t.Context(), p, &message{}); !errors.As(err, &dial) {
		t.Errorf("a connection that is not the system's: got %v", err)
	}
}
