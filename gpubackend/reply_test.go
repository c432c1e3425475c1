package gpubackend

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/internal/testkit"
)

// largeChat asks for more than the kernel takes in for a caller that does not read:
// many answers with the alternatives of each token. largeWholeChat asks for it in
// one piece.
var (
	largeChat      = strings.Replace(endlessChat, `"max_tokens":400`, `"max_tokens":480,"n":16,"logprobs":true,"top_logprobs":20`, 1)
	largeWholeChat = strings.Replace(largeChat, `"stream":true`, `"stream":false`, 1)
)

// askAndNotRead sends a chat request on a connection with a small buffer.
func askAndNotRead(t *testing.T, front *httptest.Server, body string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	request, _ := http.NewRequest(http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(body))
	if err := request.Write(connection); err != nil {
		t.Fatal(err)
	}
	return connection
}

// A whole reply can be as large as a stream; who does not read it must not keep
// it in memory for good.
func TestWholeReplyIsNotKeptForAClientThatDoesNotRead(t *testing.T) {
	s, _ := startGated(t, func(*engine.Batch) error { return nil }, WithWriteTimeout(50*time.Millisecond))
	var answering atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answering.Add(1)
		defer answering.Add(-1)
		s.ServeHTTP(w, r)
	}))
	defer front.Close()
	defer askAndNotRead(t, front, largeWholeChat).Close()
	testkit.Eventually(t, "the request ran", func() bool { return answering.Load() == 1 && s.scheduler.Status().Finished == 16 })
	testkit.Eventually(t, "the reply was given up", func() bool { return answering.Load() == 0 })
}

// A client that reads slowly, but does read, gets all of it, and its connection
// stays good.
func TestLargeReplyOutlivesItsDeadlines(t *testing.T) {
	_, front := startGated(t, func(*engine.Batch) error { return nil }, WithWriteTimeout(300*time.Millisecond))
	connection, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	// Small reads would sleep for less than a timer can measure, and so longer
	// than they should.
	slow := bufio.NewReaderSize(slowly{connection}, 256<<10)
	for _, one := range []string{largeWholeChat, `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":1}`} {
		request, _ := http.NewRequest(http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(one))
		if err := request.Write(connection); err != nil {
			t.Fatal(err)
		}
		reply, err := http.ReadResponse(slow, request)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(reply.Body); err != nil || !json.Valid(text) {
			t.Fatalf("%d bytes, %v", len(text), err)
		}
		time.Sleep(350 * time.Millisecond)
	}
}

// slowly reads eight megabytes a second.
type slowly struct{ net.Conn }

func (s slowly) Read(into []byte) (int, error) {
	count, err := s.Conn.Read(into)
	time.Sleep(time.Duration(count) * time.Second / (8 << 20))
	return count, err
}
