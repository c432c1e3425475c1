package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/cputime"
)

// discard is a Sink that keeps nothing.
type discard struct{ bytes int }

func (d *discard) Pass(events []byte) error { d.bytes += len(events); return nil }
func (d *discard) Last(events []byte) error { d.bytes += len(events); return nil }

// chunk200 is an OpenAI chunk of 200 bytes with its frame.
var chunk200 = []byte(`data: {"id":"chatcmpl-7f3a52c1d9e84b06","object":"chat.completion.chunk","created":1790000000,"model":"meta-llama-3-8b","choices":[{"index":0,"delta":{"content":" water"},"finish_reason":null}]}` + "\n\n")

// BenchmarkStreamChunk is the cost of one chunk of a stream. The floor searches
// for the end of the line and for a usage member, the least that any meter does.
func BenchmarkStreamChunk(b *testing.B) {
	withNull := bytes.Replace(chunk200, []byte("}]}"), []byte(`}],"usage":null}`), 1)
	running := bytes.Replace(chunk200, []byte("}]}"), []byte(`}],"usage":{"prompt_tokens":31,"total_tokens":45,"completion_tokens":14}}`), 1)
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		found := 0
		start := cputime.Used()
		for b.Loop() {
			found += bytes.IndexByte(chunk200, '\n') + bytes.Index(chunk200, []byte(`usage"`))
		}
		b.ReportMetric(float64(cputime.Used()-start)/float64(b.N), "cpu-ns/op")
	})
	for _, test := range []struct {
		name  string
		strip bool
		chunk []byte
	}{{"plain", false, chunk200}, {"strip", true, chunk200}, {"strip-null", true, withNull}, {"running-totals", false, running}} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			meter := NewMeter(&Call{Route: Route{Spec: &chatSpec}}, test.strip)
			var out discard
			start := cputime.Used()
			for b.Loop() {
				if err := meter.Stream(SSE, test.chunk, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cputime.Used()-start)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(len(test.chunk)), "B/chunk")
		})
	}
}

// BenchmarkRequest is the cost of reading a request, beside encoding/json for
// the same three members.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 200 << 10} {
		body := chatBody(size)
		route := Route{Spec: &chatSpec}
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			start := cputime.Used()
			for b.Loop() {
				if _, err := ReadRequest(route, body); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cputime.Used()-start)/float64(b.N), "cpu-ns/op")
		})
		b.Run(fmt.Sprintf("%dKiB-encoding-json", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var shape struct {
					Model     string `json:"model"`
					Stream    bool   `json:"stream"`
					MaxTokens int64  `json:"max_tokens"`
				}
				if err := json.Unmarshal(body, &shape); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBody is the cost of a reply without a stream.
func BenchmarkBody(b *testing.B) {
	body := []byte(`{"id":"c","choices":[{"message":{"role":"assistant","content":"` + strings.Repeat("word ", 120) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		meter := NewMeter(&Call{}, false)
		meter.Body(body)
		if _, ok := meter.Reported(); !ok {
			b.Fatal("no usage")
		}
	}
}
