package gpubackend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// call is one generating request on its way, the same on all routes. A route
// decodes its body into a call and shapes what comes back.
type call struct {
	fields   *callFields
	requests []engine.Request // all choices of all prompts
	streams  []*engine.Stream
	shape    shape
	id       string
	created  time.Time
	warnings []string
}

// shape turns what a call produced into the bodies of one route.
type shape interface {
	// whole is the body of a reply that is not streamed.
	whole(c *call, choices []choice) any
	// first is the first event of a choice's stream; nil for none.
	first(c *call, index int) any
	// piece is the event for new text. The last one has a finish reason.
	piece(c *call, index int, piece *choice) any
	// closing is the last event of a stream; nil for none.
	closing(c *call) any
}

// choice is one answer, or a piece of it.
type choice struct {
	text   string
	tokens []engine.Token
	finish engine.FinishReason
	usage  engine.Usage
}

// newCall prepares the choices of a call.
func (s *Server) newCall(fields *callFields, template engine.Request, prompts [][]int32, shape shape, prefix string) *call {
	c := &call{fields: fields, shape: shape, id: prefix + strings.ToLower(rand.Text()), created: time.Now()}
	for _, prompt := range prompts {
		for i := range fields.choices() {
			request := template
			request.Prompt = prompt
			request.Sampling.Seed += uint64(i) // the choices of one prompt differ
			c.requests = append(c.requests, request)
		}
	}
	return c
}

// answer runs a call and writes its reply.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *call) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if err := s.submit(ctx, c); err != nil {
		return err
	}
	defer func() {
		cancel()
		s.metrics.observe(c)
	}()
	w.Header().Set("X-Backend-Device", s.info.Device)
	w.Header().Set("X-Backend-Max-Tokens", strconv.Itoa(c.streams[0].MaxTokens()))
	if c.fields.Stream {
		return s.stream(ctx, cancel, w, r, c)
	}
	choices := make([]choice, len(c.streams))
	for i, stream := range c.streams {
		if err := choices[i].readAll(ctx, stream); err != nil {
			return err
		}
	}
	w.Header().Set("X-Queue-Ms", milliseconds(c.queued()))
	w.Header().Set("X-Inference-Ms", milliseconds(c.inference()))
	s.writeReply(w, c.shape.whole(c, choices))
	return nil
}

// submit hands the call to the scheduler.
func (s *Server) submit(ctx context.Context, c *call) (err error) {
	if c.streams, err = s.scheduler.Submit(ctx, c.requests...); err != nil {
		return err
	}
	if asked := c.fields.maxTokens(); asked != nil {
		for i, stream := range c.streams {
			if most := stream.MaxTokens(); most < *asked {
				c.warnings = append(c.warnings, fmt.Sprintf("max_tokens %d lowered to %d: the prompt has %d tokens and the context holds %d",
					*asked, most, len(c.requests[i].Prompt), s.scheduler.Context()))
				break
			}
		}
	}
	return nil
}

// readAll collects a stream to its end.
func (c *choice) readAll(ctx context.Context, stream *engine.Stream) error {
	for {
		update, err := stream.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.text += update.Text
		c.tokens = append(c.tokens, update.Tokens...)
		c.usage = update.Usage
		if update.Finish != "" {
			c.finish = update.Finish
		}
	}
}

// inference is the call's share of the engine's busy time so far.
func (c *call) inference() time.Duration {
	sum := time.Duration(0)
	for _, stream := range c.streams {
		sum += stream.Usage().Inference
	}
	return sum
}

// queued is how long the first choice waited for its slot.
func (c *call) queued() time.Duration { return c.streams[0].Usage().Queued }

// usage sums up the call so far. A prompt is counted once, however many choices
// were made from it.
func (c *call) usage() usageBody {
	var sum usageBody
	n := c.fields.choices()
	for i, stream := range c.streams {
		usage := stream.Usage()
		sum.CompletionTokens += usage.Generated
		if i%n == 0 {
			sum.PromptTokens += usage.Prompt
			sum.PromptDetails.CachedTokens += usage.Cached
		}
	}
	sum.TotalTokens = sum.PromptTokens + sum.CompletionTokens
	return sum
}

func (c *call) timings() timingsBody {
	return timingsBody{QueueMs: inMilliseconds(c.queued()), InferenceMs: inMilliseconds(c.inference()), TotalMs: inMilliseconds(time.Since(c.created))}
}

type usageBody struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	PromptDetails    struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

type timingsBody struct {
	QueueMs     float64 `json:"queue_ms"`
	InferenceMs float64 `json:"inference_ms"` // the call's share of the engine's busy time
	TotalMs     float64 `json:"total_ms"`
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(inMilliseconds(d), 'f', 3, 64)
}
