package gpubackend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

const endlessChat = `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":400,"ignore_eos":true,"stream":true}`

func TestClientThatLeavesFreesItsSlotWithinOneStep(t *testing.T) {
	for _, body := range []string{endlessChat, strings.Replace(endlessChat, `"stream":true`, `"stream":false`, 1)} {
		steps := make(chan int)
		var log lockedText
		s, front := startGated(t, func(batch *engine.Batch) error { steps <- len(batch.Tables); return nil },
			WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		ctx, cancel := context.WithCancel(context.Background())
		request, _ := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(body))
		done := make(chan error)
		go func() {
			reply, err := front.Client().Do(request)
			if err == nil {
				_, err = io.Copy(io.Discard, reply.Body)
				reply.Body.Close()
			}
			done <- err
		}()
		<-steps
		<-steps
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the client ended with %v", err)
		}
		// The server learns of it; then the step that may have begun is the last.
		last := 0
		eventually(t, "the slot came free", func() bool {
			select {
			case <-steps:
				last++
			default:
			}
			return s.scheduler.Status().Running == 0
		})
		if status := s.scheduler.Status(); status.PagesInUse != 0 || status.Cancelled != 1 {
			t.Errorf("after %d more steps: %+v", last, status)
		}
		if front.Close(); strings.Contains(log.String(), "ERROR") {
			t.Errorf("a client that leaves is logged as a failure: %s", log.String())
		}
	}
}

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

func TestClientThatDoesNotReadIsGivenUp(t *testing.T) {
	s, front := startGated(t, func(*engine.Batch) error { return nil }, WithWriteTimeout(50*time.Millisecond))
	defer askAndNotRead(t, front, largeChat).Close()
	eventually(t, "the request was given up", func() bool { return s.scheduler.Status().Cancelled > 0 })
	eventually(t, "all slots came free", func() bool { return s.scheduler.Status().Running == 0 })
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
	eventually(t, "the request ran", func() bool { return answering.Load() == 1 && s.scheduler.Status().Finished == 16 })
	eventually(t, "the reply was given up", func() bool { return answering.Load() == 0 })
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

func TestConnectionOutlivesTheDeadlineOfAStream(t *testing.T) {
	_, front := start(t, WithWriteTimeout(100*time.Millisecond))
	connection, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	read := bufio.NewReader(connection)
	for range 2 {
		request, _ := http.NewRequest(http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(strings.Replace(endlessChat, "400", "3", 1)))
		if err := request.Write(connection); err != nil {
			t.Fatal(err)
		}
		reply, err := http.ReadResponse(read, request)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(reply.Body); err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
			t.Fatalf("%v, %q", err, text)
		}
		time.Sleep(150 * time.Millisecond)
	}
}

func TestStatusRoutesDoNotWaitForTheEngine(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	_, front := startGated(t, func(*engine.Batch) error {
		once.Do(func() { close(inside); <-leave })
		return nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		post(t, front, "/infer", `{"prompt":"Hi","max_tokens":2}`)
	}()
	<-inside
	for _, path := range []string{"/health", "/ready", "/queue", "/metrics", "/v1/models"} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, front.URL+path, nil)
		reply, err := front.Client().Do(request)
		if err != nil {
			t.Errorf("%s while a step runs: %v", path, err)
		} else {
			if reply.Body.Close(); reply.StatusCode != http.StatusOK {
				t.Errorf("%s while a step runs: %d", path, reply.StatusCode)
			}
		}
		cancel()
	}
	close(leave)
	<-done
}

func TestFullQueueSaysWhenToComeBack(t *testing.T) {
	leave := make(chan struct{})
	s, front := startGated(t, func(*engine.Batch) error { <-leave; return nil }, WithSlots(1), WithQueue(1, 50*time.Millisecond))
	var clients sync.WaitGroup
	codes := make(chan string, 2)
	send := func() {
		clients.Go(func() {
			reply, text := post(t, front, "/infer", `{"prompt":"Hi","max_tokens":2}`)
			codes <- code(text)
			if reply.StatusCode == http.StatusServiceUnavailable && reply.Header.Get("Retry-After-Ms") == "" {
				t.Error("a 503 without Retry-After-Ms")
			}
		})
	}
	send()
	eventually(t, "the first runs", func() bool { return s.scheduler.Status().Running == 1 })
	send()
	eventually(t, "the second waits", func() bool { return s.scheduler.Status().Waiting == 1 })
	for path, want := range map[string]int{"/infer": 503, "/v1/chat/completions": 503} {
		body := strings.Replace(endlessChat, `"stream"`, `"prompt":"Hi","stream"`, 1)
		reply, text := post(t, front, path, body)
		if reply.StatusCode != want || code(text) != "queue_full" || reply.Header.Get("Retry-After") == "" {
			t.Errorf("%s on a full queue: %d %v %s", path, reply.StatusCode, reply.Header, text)
		}
	}
	reply, err := front.Client().Get(front.URL + "/ready")
	if err != nil {
		t.Fatal(err)
	}
	if reply.Body.Close(); reply.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/ready on a full queue: %d", reply.StatusCode)
	}
	if got := <-codes; got != "queue_timeout" {
		t.Errorf("the waiting request ended with %q", got)
	}
	close(leave)
	if got := <-codes; got != "" {
		t.Errorf("the running request ended with %q", got)
	}
	clients.Wait()
}

// code is the error code in a reply, empty if it is no error.
func code(text []byte) string {
	var body struct {
		Error errorBody `json:"error"`
	}
	_ = json.Unmarshal(text, &body)
	return body.Error.Code
}

func TestFailureInMidStreamIsAnErrorEvent(t *testing.T) {
	steps := 0
	var log lockedText
	_, front := startGated(t, func(*engine.Batch) error {
		if steps++; steps > 3 {
			return errors.New("device lost")
		}
		return nil
	}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	reply, text := post(t, front, "/v1/chat/completions", endlessChat)
	if reply.StatusCode != http.StatusOK || !strings.Contains(string(text), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"code\":\"engine_failure\"") {
		t.Errorf("%d %s", reply.StatusCode, text)
	}
	if strings.Contains(string(text), "device lost") || !strings.Contains(log.String(), "device lost") {
		t.Errorf("the reason belongs into the log %q, not into the reply %s", log.String(), text)
	}
	if strings.Contains(string(text), "[DONE]") {
		t.Error("a failed stream ends as if it were whole")
	}
	if reply.Trailer.Get("X-Inference-Ms") == "" {
		t.Error("a failed stream does not say what it cost")
	}
	for range 2 {
		if reply, text := post(t, front, "/infer", `{"prompt":"Hi"}`); reply.StatusCode != http.StatusInternalServerError || code(text) != "engine_failure" {
			t.Errorf("a failed request: %d %s", reply.StatusCode, text)
		}
	}
	health, err := front.Client().Get(front.URL + "/health")
	if err != nil {
		t.Fatal(err)
	}
	if health.Body.Close(); health.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/health after three failed steps: %d", health.StatusCode)
	}
}

func TestCloseWhileRequestsRun(t *testing.T) {
	s, front := startGated(t, func(*engine.Batch) error { time.Sleep(time.Millisecond); return nil }, WithSlots(2))
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() {
			_, text := post(t, front, "/v1/chat/completions", endlessChat)
			if strings.Contains(string(text), "[DONE]") || !strings.Contains(string(text), `"closed"`) {
				t.Errorf("%s", text)
			}
		})
	}
	eventually(t, "two run", func() bool { return s.scheduler.Status().Running == 2 && s.scheduler.Status().Waiting == 4 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	clients.Wait()
}

// lockedText is a log that a test reads while it is written.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
