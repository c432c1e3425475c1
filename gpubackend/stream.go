package gpubackend

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// arrival is an update of one choice of a streamed generation.
type arrival struct {
	index  int
	update engine.Update
	err    error
}

// merge brings the updates of all choices into one channel, which it closes when
// all have ended.
func (g *generation) merge(ctx context.Context) <-chan arrival {
	arrivals := make(chan arrival)
	var readers sync.WaitGroup
	for index, stream := range g.streams {
		readers.Go(func() {
			for {
				update, err := stream.Next(ctx)
				if errors.Is(err, io.EOF) {
					return
				}
				select {
				case arrivals <- arrival{index, update, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	go func() {
		readers.Wait()
		close(arrivals)
	}()
	return arrivals
}

// stream answers with server-sent events. The status is not sent before the
// first update arrives, so that a refusal still gets its own status.
func (s *Server) stream(ctx context.Context, cancel context.CancelFunc, w http.ResponseWriter, r *http.Request, g *generation) error {
	arrivals := g.merge(ctx)
	defer func() {
		cancel()
		for range arrivals { // until the readers have ended
		}
	}()
	arrived, more := <-arrivals
	switch {
	case !more:
		return context.Cause(ctx)
	case arrived.err != nil:
		return arrived.err
	}
	events := newEventWriter(w, s.config.writeTimeout)
	w.Header().Set("X-Queue-Ms", milliseconds(g.queued()))
	events.start()
	defer events.release()
	begun := make([]bool, len(g.streams))
	for ; more; arrived, more = <-arrivals {
		if arrived.err != nil {
			if ctx.Err() == nil { // otherwise the client has disconnected, which is no failure
				s.logFailure(r, arrived.err)
				events.fail(arrived.err)
			}
			w.Header().Set("X-Inference-Ms", milliseconds(g.inference()))
			return nil
		}
		if !begun[arrived.index] {
			begun[arrived.index] = true
			events.send(g.shape.first(g, arrived.index))
		}
		update := &arrived.update
		if update.Text != "" || len(update.Tokens) > 0 || update.Finish != "" {
			events.send(g.shape.piece(g, arrived.index, &choice{update.Text, update.Tokens, update.Finish, update.Usage}))
		}
		if events.err != nil {
			return nil // the caller has left; the deferred cancel frees its slot
		}
	}
	if ctx.Err() == nil {
		events.send(g.shape.closing(g))
		events.done()
	}
	w.Header().Set("X-Inference-Ms", milliseconds(g.inference()))
	return nil
}

// eventWriter writes server-sent events, each flushed at once.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	err     error // the first failure; later events are dropped
}

func newEventWriter(w http.ResponseWriter, timeout time.Duration) *eventWriter {
	return &eventWriter{w: w, control: http.NewResponseController(w), timeout: timeout}
}

func (e *eventWriter) start() {
	header := e.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("Trailer", "X-Inference-Ms")
	e.w.WriteHeader(http.StatusOK)
	_ = e.control.Flush() // the first token may take a while
}

// release removes the deadline: the connection may serve another request.
func (e *eventWriter) release() { _ = e.control.SetWriteDeadline(time.Time{}) }

func (e *eventWriter) send(event any) {
	if event == nil {
		return
	}
	text, err := json.Marshal(event)
	if err != nil {
		// Every event is made of strings and finite numbers.
		panic(err)
	}
	e.write("data: ", text)
}

func (e *eventWriter) done() { e.write("data: [DONE]", nil) }

// fail ends a stream that cannot be finished, with an event that clients raise as an
// error, so that nobody takes the answer for complete.
func (e *eventWriter) fail(err error) {
	text, _ := json.Marshal(struct {
		Type  string    `json:"type"`
		Error errorBody `json:"error"`
	}{"error", asAPIError(err).body()["error"]})
	e.write("event: error\ndata: ", text)
}

func (e *eventWriter) write(prefix string, text []byte) {
	if e.err != nil {
		return
	}
	// The error is ignored: some writers do not support deadlines.
	_ = e.control.SetWriteDeadline(time.Now().Add(e.timeout))
	line := make([]byte, 0, len(prefix)+len(text)+2)
	line = append(append(append(line, prefix...), text...), "\n\n"...)
	if _, e.err = e.w.Write(line); e.err == nil {
		if err := e.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			e.err = err
		}
	}
}
