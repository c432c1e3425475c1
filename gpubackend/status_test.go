package gpubackend

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

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
