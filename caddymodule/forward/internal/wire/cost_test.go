package wire

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"sync/atomic"
	"syscall"
	"testing"
)

// fixed is a message that allocates nothing.
type fixed struct{ io.Reader }

func (fixed) AppendHeader(b []byte) []byte {
	return append(b, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"...)
}

func (fixed) Body() (io.ReadCloser, error) { return http.NoBody, nil }

func (fixed) Interim(int, textproto.MIMEHeader) {}

// counted counts what is read and written by system calls of a connection.
type counted struct {
	*net.TCPConn
	reads, raws *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.TCPConn.Read(p)
}

func (c counted) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.TCPConn.SyscallConn()
	return countedRaw{raw, c.raws}, err
}

// countedRaw counts the system calls that a connection makes itself.
type countedRaw struct {
	syscall.RawConn
	calls *atomic.Int64
}

func (c countedRaw) Read(f func(uintptr) bool) error { c.calls.Add(1); return c.RawConn.Read(f) }

func (c countedRaw) Write(f func(uintptr) bool) error { c.calls.Add(1); return c.RawConn.Write(f) }

// pieces answers each request with a chunked reply.
func pieces(chunks int) func(*bufio.Reader, net.Conn) {
	answer := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range chunks {
		answer = append(answer, "a\r\n0123456789\r\n"...)
	}
	answer = append(answer, "0\r\n\r\n"...)
	return func(in *bufio.Reader, connection net.Conn) {
		for {
			for line := ""; line != "\r\n"; {
				var err error
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
			}
			if _, err := connection.Write(answer); err != nil {
				return
			}
		}
	}
}

// roundTrip makes a call and drops its reply.
func roundTrip(t testing.TB, p *Pool, r *Request, buffer []byte) {
	reply, err := p.RoundTrip(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = reply.Body.Read(buffer)
	}
	reply.End(err == io.EOF)
}

// What a call and a chunk cost has no noise where it is counted. Of the allocations some are the
// server's: one for each line of the request.
func TestACallCostsNoMoreThanItDid(t *testing.T) {
	const maxAllocations, maxSystemCalls = 17, 3
	reads, raws := new(atomic.Int64), new(atomic.Int64)
	dialing := func(options Options) Options {
		dial := options.Dial
		options.Dial = func(ctx context.Context) (net.Conn, error) {
			c, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return counted{c.(*net.TCPConn), reads, raws}, nil
		}
		return options
	}
	r := &Request{Head: &http.Request{Method: "GET"}, Message: fixed{}}
	buffer := make([]byte, 4<<10)
	few, many := newPool(t, dialing(server(t, pieces(1)))), newPool(t, dialing(server(t, pieces(201))))
	perCall := testing.AllocsPerRun(200, func() { roundTrip(t, few, r, buffer) })
	if perCall > maxAllocations && !raceEnabled {
		t.Errorf("%.0f allocations for a call, at most %d are allowed", perCall, maxAllocations)
	}
	if perChunk := (testing.AllocsPerRun(200, func() { roundTrip(t, many, r, buffer) }) - perCall) / 200; perChunk > .01 && !raceEnabled {
		t.Errorf("%.2f allocations for a chunk", perChunk)
	}
	reads.Store(0)
	raws.Store(0)
	const calls = 100
	for range calls {
		roundTrip(t, few, r, buffer)
	}
	if got := reads.Load() + raws.Load(); got > maxSystemCalls*calls {
		t.Errorf("%d reads and writes for %d calls, at most %d for each are allowed", got, calls, maxSystemCalls)
	}
	t.Logf("%.0f allocations, %d reads, %d checks and writes", perCall, reads.Load(), raws.Load())
}

func BenchmarkACall(b *testing.B) {
	p := newPool(b, server(b, pieces(1)))
	r, buffer := &Request{Head: &http.Request{Method: "GET"}, Message: fixed{}}, make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, p, r, buffer)
	}
}
