package gpubackend

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// embeddingRequest is the body of POST /v1/embeddings.
type embeddingRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"`
	EncodingFormat string          `json:"encoding_format"`
	Dimensions     *int            `json:"dimensions"`
}

type embeddingBody struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

func (s *Server) serveEmbeddings(w http.ResponseWriter, r *http.Request) error {
	var body embeddingRequest
	if err := s.readBody(w, r, &body); err != nil {
		return err
	}
	if err := s.checkModel(body.Model); err != nil {
		return err
	}
	if body.EncodingFormat != "" && body.EncodingFormat != "float" && body.EncodingFormat != "base64" {
		return invalid("encoding_format", "encoding_format must be float or base64")
	}
	if body.Dimensions != nil && *body.Dimensions != s.info.Embedding {
		return unsupported("dimensions", " other than the model's own")
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	inputs, err := s.textsOrTokens(ctx, "input", body.Input)
	if err != nil {
		return err
	}
	g := &generation{fields: &generationFields{}, created: time.Now()}
	for _, input := range inputs {
		g.requests = append(g.requests, engine.Request{Prompt: input, Embed: true})
	}
	if err := s.submit(ctx, g); err != nil {
		return err
	}
	defer s.metrics.observe(g)
	list := make([]embeddingBody, len(g.streams))
	for i, stream := range g.streams {
		vector, err := readEmbedding(ctx, stream)
		if err != nil {
			return err
		}
		list[i] = embeddingBody{Object: "embedding", Index: i, Embedding: vector}
		if body.EncodingFormat == "base64" {
			list[i].Embedding = base64Floats(vector)
		}
	}
	usage := g.usage()
	w.Header().Set("X-Backend-Device", s.info.Device)
	w.Header().Set("X-Queue-Ms", milliseconds(g.queued()))
	w.Header().Set("X-Inference-Ms", milliseconds(g.inference()))
	reply := map[string]any{
		"object": "list", "data": list, "model": s.name(),
		"usage": map[string]int{"prompt_tokens": usage.PromptTokens, "total_tokens": usage.TotalTokens},
	}
	if s.info.Demonstration {
		reply["demonstration"] = true
	}
	s.writeReply(w, reply)
	return nil
}

func readEmbedding(ctx context.Context, stream *engine.Stream) ([]float32, error) {
	for {
		update, err := stream.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil, engine.ErrEngine
		}
		if err != nil || update.Embedding != nil {
			return update.Embedding, err
		}
	}
}

// base64Floats encodes little-endian float32 values, as OpenAI's clients ask for.
func base64Floats(values []float32) string {
	bytes := make([]byte, 0, 4*len(values))
	for _, value := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(value))
	}
	return base64.StdEncoding.EncodeToString(bytes)
}
