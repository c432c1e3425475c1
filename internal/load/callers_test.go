//go:build linux

package load

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// request returns the bytes of a call with the gateway's key.
func request(g *gateway, key, body string) []byte {
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nUser-Agent: load\r\nContent-Length: %d\r\n\r\n%s", g.address, key, len(body), body)
}

// exchange is call or listen.
type exchange func(out io.Writer, in *bufio.Reader, request []byte, status int) error

// callers are kept connections to a gateway.
type callers struct {
	b           *testing.B
	connections []net.Conn
}

func dial(b *testing.B, g *gateway, count int) *callers {
	b.Helper()
	c := &callers{b: b}
	for range count {
		connection, err := net.Dial("tcp", g.address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { connection.Close() })
		c.connections = append(c.connections, connection)
	}
	return c
}

// send has every caller make some of the calls, a number of times one after the other.
func (c *callers) send(call exchange, requests [][]byte, times, status int) {
	c.b.Helper()
	var all sync.WaitGroup
	for _, connection := range c.connections {
		all.Go(func() {
			in := bufio.NewReader(connection)
			for range times {
				if err := call(connection, in, requests[rand.IntN(len(requests))], status); err != nil {
					c.b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if c.b.Failed() {
		c.b.FailNow()
	}
}

// call sends a request and reads the answer to its end.
func call(out io.Writer, in *bufio.Reader, request []byte, status int) error {
	if _, err := out.Write(request); err != nil {
		return err
	}
	first, err := skipMessage(in)
	if err == nil && !strings.HasPrefix(first, fmt.Sprintf("HTTP/1.1 %d ", status)) {
		err = fmt.Errorf("%q, want status %d", first, status)
	}
	return err
}

// listen sends a request and reads a stream to its end.
func listen(out io.Writer, in *bufio.Reader, request []byte, status int) error {
	if _, err := out.Write(request); err != nil {
		return err
	}
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != status {
		return fmt.Errorf("status %d, want %d", response.StatusCode, status)
	}
	return nil
}
