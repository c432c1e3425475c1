package dialect

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// tape is a Sink that keeps what it is given.
type tape struct {
	passed, last bytes.Buffer
	fail         error
}

func (t *tape) Pass(events []byte) error { t.passed.Write(events); return t.fail }

func (t *tape) Last(events []byte) error { t.last.Write(events); return t.fail }

const (
	delta    = `{"id":"c","choices":[{"index":0,"delta":{"content":"four"},"finish_reason":null}]}`
	finish   = `{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	sumOf    = `{"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}}`
	zeroSum  = `{"id":"c","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`
	running  = `{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`
	doneLine = "data: [DONE]\n\n"
)

// sse makes a stream of data events.
func sse(events ...string) string {
	var text strings.Builder
	for _, event := range events {
		text.WriteString("data: " + event + "\n\n")
	}
	return text.String()
}

// streamCase is a recorded shape of a server's stream.
type streamCase struct {
	name   string
	call   Call
	strip  bool
	format Format
	stream string
	passed string // "": everything but last
	last   string
	usage  Usage
	tokens int64 // counted
}

// streamCases are those of all dialects.
var streamCases = slices.Concat(openAIStreams, anthropicStreams, ollamaStreams, llamaCppStreams, tgiStreams, sglangStreams)

// checkStreams checks that streams are read the same however they are cut.
func checkStreams(t *testing.T, cases []streamCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			want := test.passed
			if want == "" {
				end := strings.LastIndex(test.stream, test.last)
				if end < 0 { // changed
					end = strings.LastIndex(test.stream, "data:")
				}
				want = test.stream[:end]
			}
			check := func(pieces ...string) {
				t.Helper()
				meter := NewMeter(&test.call, test.strip)
				var out tape
				for _, piece := range pieces {
					buffer := []byte(piece) // of its own, and overwritten afterwards
					if err := meter.Stream(test.format, buffer, &out); err != nil {
						t.Fatal(err)
					}
					clear(buffer)
				}
				if err := meter.Flush(&out); err != nil {
					t.Fatal(err)
				}
				usage, ok := meter.Reported()
				if out.passed.String() != want || out.last.String() != test.last {
					t.Fatalf("cut at %d:\npassed %q\n  want %q\n  last %q\n  want %q", len(pieces[0]), out.passed.String(), want, out.last.String(), test.last)
				}
				if !ok || usage != test.usage || meter.Counted() != test.tokens || !meter.Complete() || meter.Failed() {
					t.Fatalf("cut at %d: usage %+v %v, counted %d, complete %v", len(pieces[0]), usage, ok, meter.Counted(), meter.Complete())
				}
			}
			for at := range len(test.stream) {
				check(test.stream[:at], test.stream[at:])
			}
			check(strings.Split(test.stream, "")...)
		})
	}
}

// cut cuts a stream into pieces whose sizes a seed chooses.
func cut(stream []byte, seed uint64) (pieces [][]byte) {
	random := rand.New(rand.NewPCG(seed, 0))
	most := 1 << random.IntN(8)
	for len(stream) > 0 {
		size := min(random.IntN(most+1), len(stream))
		pieces = append(pieces, stream[:size])
		stream = stream[size:]
	}
	return pieces
}

// FuzzMeter checks that a stream gives the same events and the same usage
// however it is cut, that nothing panics and that nothing is lost.
func FuzzMeter(f *testing.F) {
	for i, test := range streamCases {
		f.Add([]byte(test.stream), uint64(i*7), uint8(i))
		f.Add([]byte(strings.ReplaceAll(test.stream, "\n", "\r")), uint64(i*7), uint8(i))
		f.Add([]byte(strings.ReplaceAll(test.stream, ",", ",\ndata:")), uint64(i*7), uint8(i))
	}
	f.Add([]byte("data: {\"usage\":{\"prompt_tokens\":-9e9}\n\r\n\n\n:x\n\ndata:\n\n"), uint64(3), uint8(0))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, which uint8) {
		test := streamCases[int(which)%len(streamCases)]
		run := func(pieces ...[]byte) (tape, Usage, bool, int64) {
			meter := NewMeter(&test.call, test.strip)
			var out tape
			for _, piece := range pieces {
				buffer := bytes.Clone(piece)
				if err := meter.Stream(test.format, buffer, &out); err != nil {
					t.Fatal(err)
				}
				clear(buffer)
			}
			if err := meter.Flush(&out); err != nil {
				t.Fatal(err)
			}
			usage, ok := meter.Reported()
			return out, usage, ok, meter.Counted()
		}
		whole, usage, ok, counted := run(stream)
		parts, usage2, ok2, counted2 := run(cut(stream, seed)...)
		if whole.passed.String() != parts.passed.String() || whole.last.String() != parts.last.String() {
			t.Fatalf("cut by %d:\n%q %q\n%q %q", seed, whole.passed.String(), whole.last.String(), parts.passed.String(), parts.last.String())
		}
		if usage != usage2 || ok != ok2 || counted != counted2 {
			t.Fatalf("cut by %d: %+v %v %d, whole %+v %v %d", seed, usage2, ok2, counted2, usage, ok, counted)
		}
		if usage.Input < 0 || usage.Output < 0 || usage.Cached > usage.Input {
			t.Fatalf("usage %+v", usage)
		}
		if !test.strip && whole.passed.Len()+whole.last.Len() != len(stream) {
			t.Fatalf("%d of %d bytes passed", whole.passed.Len()+whole.last.Len(), len(stream))
		}
	})
}

// wholeReplies has an answer of each operation that generates or reads text.
var wholeReplies = map[*Spec]string{
	&chatSpec:           `{"choices":[{"message":{"content":""}}]}`,
	&completionsSpec:    `{"choices":[{"text":"a"}]}`,
	&embeddingsSpec:     `{"data":[{"embedding":[1]}]}`,
	&responsesSpec:      `{"output":[{"type":"message"}]}`,
	&messagesSpec:       `{"content":[{"type":"text","text":""}]}`,
	&ollamaGenerateSpec: `{"response":""}`,
	&ollamaChatSpec:     `{"message":{"content":""}}`,
	&ollamaEmbedSpec:    `{"embeddings":[[1]]}`,
	&llamaCppSpec:       `{"content":""}`,
	&tgiSpec:            `[{"generated_text":""}]`,
	&tgiStreamSpec:      `{"generated_text":""}`,
	&sglangSpec:         `{"text":""}`,
	&rerankSpec:         `{"results":[]}`,
	&scoreSpec:          `{"data":[{"index":0,"score":0.5}]}`,
	&poolingSpec:        `{"data":[{"object":"pooling","data":[[1]]}]}`,
	&classifySpec:       `{"data":[{"label":"spam","probs":[1]}]}`,
	&moderationsSpec:    `{"results":[{"flagged":false}]}`,
	&tokenizeSpec:       `{"tokens":[]}`,
	&detokenizeSpec:     `{"content":""}`,
	&transcriptionsSpec: `{"text":""}`,
	&translationsSpec:   `{"text":"a"}`,
	&imagesSpec:         `{"data":[{"b64_json":"x"}]}`,
}

func TestAnAnswerIsToldFromAReplyWithoutOne(t *testing.T) {
	for _, spec := range specs {
		if spec.Handling != SendCall || spec.translation != nil || spec.Makes == MakesSound {
			continue
		}
		answer := wholeReplies[spec]
		if !spec.Answered([]byte(" "+answer+"\n"), false) {
			t.Errorf("%v: no answer in %s", spec.Paths, answer)
		}
		for _, reply := range []string{
			"", " ", "{}", "[]", "null", "hello", `"text"`, "<html></html>", `{"id":"x","usage":{"prompt_tokens":1}}`, answer + "x", answer[1:],
			answer[:len(answer)-1], `{"choices":null,"content":null,"output":null,"data":null,"message":null,"response":null}`, `{"x":` + answer + `}`, `[[` + answer + `]]`,
		} {
			if spec.Answered([]byte(reply), true) {
				t.Errorf("%v: an answer in %q", spec.Paths, reply)
			}
		}
	}
}

func TestAnEmptyListIsAnAnswerOnlyIfTokensWereProduced(t *testing.T) {
	for _, reply := range []string{`{"choices":[]}`, `{"choices":[ ]}`} {
		if chatSpec.Answered([]byte(reply), false) || !chatSpec.Answered([]byte(reply), true) {
			t.Error(reply)
		}
	}
	if !rerankSpec.Answered([]byte(`{"results":[]}`), false) {
		t.Error("no documents have no results")
	}
}

func TestTextIsCountedWhereverAReplyHasIt(t *testing.T) {
	for reply, want := range map[string]int64{
		`{"choices":[{"message":{"content":"four","role":"assistant"}},{"message":{"content":"\u00e4b"}}],"id":"text"}`:                    7,
		`{"content":[{"type":"text","text":"ab"},{"type":"thinking","thinking":"c"}],"model":"m"}`:                                         3,
		`{"output":[{"type":"message","content":[{"type":"output_text","text":"abc"}]},{"type":"function_call","arguments":"{\"a\":1}"}]}`: 10,
		`{"response":"abcd","done":true}`:                  4,
		`[{"generated_text":"ab"},{"generated_text":"c"}]`: 3,
		`{"text":["a","b"]}`:                               2, `{}`: 0, "hello": 0, "": 0, `{"content":`: 0,
	} {
		if got := TextBytes([]byte(reply)); got != want {
			t.Errorf("%s: %d bytes, want %d", reply, got, want)
		}
	}
}
