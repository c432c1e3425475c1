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

// generation is one generating request in progress, the same on all routes. A
// route decodes its body into a generation and shapes what comes back.
type generation struct {
	fields   *generationFields
	requests []engine.Request // all choices of all prompts
	streams  []*engine.Stream
	shape    shape
	id       string
	created  time.Time
	warnings []string
}

// shape turns what a generation produced into the bodies of one route.
type shape interface {
	// whole is the body of a reply that is not streamed.
	whole(g *generation, choices []choice) any
	// first is the first event of a choice's stream; nil for none.
	first(g *generation, index int) any
	// piece is the event for new text. The last one has a finish reason.
	piece(g *generation, index int, piece *choice) any
	// closing is the last event of a stream; nil for none.
	closing(g *generation) any
}

// choice is one answer, or a piece of it.
type choice struct {
	text   string
	tokens []engine.Token
	finish engine.FinishReason
	usage  engine.Usage
}

// newGeneration prepares the choices of a generation.
func (s *Server) newGeneration(fields *generationFields, template engine.Request, prompts [][]int32, shape shape, prefix string) *generation {
	g := &generation{fields: fields, shape: shape, id: prefix + strings.ToLower(rand.Text()), created: time.Now()}
	for _, prompt := range prompts {
		for i := range fields.choices() {
			request := template
			request.Prompt = prompt
			request.Sampling.Seed += uint64(i) // the choices of one prompt differ
			g.requests = append(g.requests, request)
		}
	}
	return g
}

// answer runs a generation and writes its reply.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, g *generation) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if err := s.submit(ctx, g); err != nil {
		return err
	}
	defer func() {
		cancel()
		s.metrics.observe(g)
	}()
	w.Header().Set("X-Backend-Device", s.info.Device)
	w.Header().Set("X-Backend-Max-Tokens", strconv.Itoa(g.streams[0].MaxTokens()))
	if g.fields.Stream {
		return s.stream(ctx, cancel, w, r, g)
	}
	choices := make([]choice, len(g.streams))
	for i, stream := range g.streams {
		if err := choices[i].readAll(ctx, stream); err != nil {
			return err
		}
	}
	w.Header().Set("X-Queue-Ms", milliseconds(g.queued()))
	w.Header().Set("X-Inference-Ms", milliseconds(g.inference()))
	s.writeReply(w, g.shape.whole(g, choices))
	return nil
}

// submit hands the generation to the scheduler.
func (s *Server) submit(ctx context.Context, g *generation) (err error) {
	if g.streams, err = s.scheduler.Submit(ctx, g.requests...); err != nil {
		return err
	}
	if asked := g.fields.maxTokens(); asked != nil {
		for i, stream := range g.streams {
			if most := stream.MaxTokens(); most < *asked {
				g.warnings = append(g.warnings, fmt.Sprintf("max_tokens %d lowered to %d: the prompt has %d tokens and the context holds %d",
					*asked, most, len(g.requests[i].Prompt), s.scheduler.Context()))
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

// inference is the generation's share of the engine's busy time so far.
func (g *generation) inference() time.Duration {
	sum := time.Duration(0)
	for _, stream := range g.streams {
		sum += stream.Usage().Inference
	}
	return sum
}

// queued is how long the first choice waited for its slot.
func (g *generation) queued() time.Duration { return g.streams[0].Usage().Queued }

// usage sums up the generation so far. A prompt is counted once, however many choices
// were made from it.
func (g *generation) usage() usageBody {
	var sum usageBody
	n := g.fields.choices()
	for i, stream := range g.streams {
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

func (g *generation) timings() timingsBody {
	return timingsBody{QueueMs: inMilliseconds(g.queued()), InferenceMs: inMilliseconds(g.inference()), TotalMs: inMilliseconds(time.Since(g.created))}
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
	InferenceMs float64 `json:"inference_ms"` // the generation's share of the engine's busy time
	TotalMs     float64 `json:"total_ms"`
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(inMilliseconds(d), 'f', 3, 64)
}
