package gpubackend

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/internal/testkit"
)

func TestDrainedServerRefusesAndSaysSo(t *testing.T) {
	s, front := start(t)
	if err := s.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	reply, text := post(t, front, "/infer", `{"prompt":"Hi"}`)
	if reply.StatusCode != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" || !strings.Contains(string(text), `"draining"`) {
		t.Errorf("%d %v %s", reply.StatusCode, reply.Header, text)
	}
	for path, want := range map[string]int{"/ready": 503, "/health": 200, "/queue": 200, "/metrics": 200, "/v1/models/tiny": 200, "/v1/models/huge": 404} {
		reply, err := front.Client().Get(front.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if reply.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, reply.StatusCode, want)
		}
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
	testkit.Eventually(t, "two run", func() bool { return s.scheduler.Status().Running == 2 && s.scheduler.Status().Waiting == 4 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	clients.Wait()
}

// What a 405 says is allowed is what the path takes.
func TestAllowNamesEveryMethodThatWorks(t *testing.T) {
	_, front := start(t)
	for _, path := range []string{"/health", "/ready", "/queue", "/metrics", "/v1/models", "/v1/models/tiny", "/infer", "/v1/embeddings"} {
		send := func(method string) *http.Response {
			request, err := http.NewRequest(method, front.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := front.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			reply.Body.Close()
			return reply
		}
		refused := send(http.MethodPatch)
		allowed := strings.Split(refused.Header.Get("Allow"), ", ")
		if refused.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("PATCH %s: %d", path, refused.StatusCode)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
			works := send(method).StatusCode != http.StatusMethodNotAllowed
			if works != slices.Contains(allowed, method) {
				t.Errorf("%s %s works: %v, but Allow is %v", method, path, works, allowed)
			}
		}
	}
}
