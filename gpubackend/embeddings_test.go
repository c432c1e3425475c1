package gpubackend

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"testing"
)

func TestEmbeddingsHaveLengthOneAndKeepTheirOrder(t *testing.T) {
	_, front := start(t)
	type reply struct {
		Data          []struct{ Embedding []float32 }
		Usage         map[string]int
		Demonstration bool
	}
	var both, first reply
	decode(t, front, "/v1/embeddings", `{"input":["one text","and quite another"]}`, &both)
	decode(t, front, "/v1/embeddings", `{"input":"one text"}`, &first)
	if !both.Demonstration {
		t.Error("the vectors of a demonstration model do not say so")
	}
	for i, entry := range both.Data {
		sum := 0.0
		for _, value := range entry.Embedding {
			sum += float64(value) * float64(value)
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Errorf("embedding %d has length %v", i, math.Sqrt(sum))
		}
	}
	if distance(both.Data[0].Embedding, first.Data[0].Embedding) > 1e-3 || distance(both.Data[1].Embedding, first.Data[0].Embedding) < 1e-2 {
		t.Error("embeddings do not follow their texts")
	}
	if both.Usage["prompt_tokens"] <= first.Usage["prompt_tokens"] {
		t.Errorf("usage: %v and %v", both.Usage, first.Usage)
	}
	var coded struct{ Data []struct{ Embedding string } }
	decode(t, front, "/v1/embeddings", `{"input":"one text","encoding_format":"base64"}`, &coded)
	raw, err := base64.StdEncoding.DecodeString(coded.Data[0].Embedding)
	if err != nil || len(raw) != 4*len(first.Data[0].Embedding) {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if got := math.Float32frombits(binary.LittleEndian.Uint32(raw)); math.Abs(float64(got-first.Data[0].Embedding[0])) > 1e-3 {
		t.Errorf("base64 begins with %v, want %v", got, first.Data[0].Embedding[0])
	}
}

func distance(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]-b[i]) * float64(a[i]-b[i])
	}
	return math.Sqrt(sum)
}
