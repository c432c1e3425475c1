package translate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
)

var testAnswer = Answer{ID: "1", Model: "tiny", Created: time.Unix(7, 0)}

// testCall is a call whose caller wants to see everything.
func testCall(t testing.TB, api APIs) *Call {
	t.Helper()
	body := `{"stream":true,"thinking":{"type":"adaptive"},"stop_sequences":["END"],"messages":[{"role":"user","content":"q"}]}`
	if api == Responses {
		body = `{"stream":true,"input":"q"}`
	}
	call, err := Read(api, []byte(body), true)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// run feeds a stream in pieces of a size and ends it.
func run(call *Call, upstream string, size int) (string, *Stream, error) {
	s := call.Stream(testAnswer)
	var out strings.Builder
	for len(upstream) > 0 {
		size := min(size, len(upstream))
		made, err := s.Feed([]byte(upstream[:size]))
		out.Write(made)
		if err != nil {
			return out.String(), s, err
		}
		upstream = upstream[size:]
	}
	out.Write(s.End(dialect.Usage{Input: 9, Cached: 4, Output: 3}))
	return out.String(), s, nil
}

// chunks makes a stream of deltas, with a reason at its end.
func chunks(reason string, deltas ...string) string {
	var all strings.Builder
	for _, delta := range deltas {
		fmt.Fprintf(&all, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":null}]}\n\n", delta)
	}
	fmt.Fprintf(&all, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":%q}]}\n\n", reason)
	return all.String() + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\ndata: [DONE]\n\n"
}

// upstreams are streams as servers send them, and as they should not.
var upstreams = map[string]string{
	"a text":     chunks("stop", `{"role":"assistant","content":""}`, `{"content":"one"}`, `{"content":" \"two\""}`),
	"thoughts":   chunks("length", `{"reasoning_content":"h"}`, `{"reasoning_content":"m"}`, `{"content":"a"}`, `{"reasoning":"again"}`),
	"one tool":   chunks("tool_calls", `{"content":"t"}`, `{"tool_calls":[{"index":0,"id":"i","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}`),
	"two tools":  chunks("tool_calls", `{"tool_calls":[{"index":0,"id":"i","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"j","function":{"name":"g","arguments":"{}"}}]}`),
	"same index": chunks("stop", `{"tool_calls":[{"index":0,"id":"i","function":{"name":"f","arguments":"{}"}}]}`, `{"tool_calls":[{"index":0,"id":"j","function":{"name":"f","arguments":"{}"}}]}`),
	"no index":   chunks("stop", `{"tool_calls":[{"id":"i","function":{"name":"f","arguments":"{"}}]}`, `{"tool_calls":[{"function":{"arguments":"}"}}]}`, `{"tool_calls":[{"function":{"name":"g"}}]}`),
	"an object":  chunks("tool_calls", `{"tool_calls":[{"function":{"name":"f","arguments":{"a": 1}}}]}`),
	"giant index": chunks("tool_calls", `{"tool_calls":[{"index":99999999999,"function":{"name":"f","arguments":"{}"}}]}`,
		`{"tool_calls":[{"index":1e99,"id":"z","function":{"name":"g"}},{"index":-3,"function":{"name":"h"}}]}`),
	"interleaved":     chunks("tool_calls", `{"tool_calls":[{"index":0,"id":"i","function":{"name":"f"}},{"index":1,"id":"j","function":{"name":"g"}},{"index":0,"function":{"arguments":"{}"}}]}`),
	"text in between": chunks("tool_calls", `{"tool_calls":[{"index":0,"id":"i","function":{"name":"f"}}]}`, `{"content":"t"}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`),
	"nameless":        chunks("tool_calls", `{"tool_calls":[{"index":0,"id":"i","function":{"arguments":"{}"}}]}`),
	"late name":       chunks("tool_calls", `{"tool_calls":[{"index":0,"id":"i"}]}`, `{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}`),
	"never named":     chunks("stop", `{"tool_calls":[{"index":0,"id":"i"}]}`, `{"content":"t"}`),
	"a refusal":       chunks("content_filter", `{"content":"I "}`, `{"refusal":"no"}`),
	"no reason":       "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
	"nothing":         "",
	"only done":       "data: [DONE]\n\n",
	"after the end":   chunks("stop", `{"content":"a"}`) + chunks("stop", `{"content":"b"}`),
	"an error":        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"out of memory\"}}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n",
	"an error's text": "data: {\"error\":\"boom\"}\n\n",
	"an odd error":    "data: {\"error\":7}\n\n",
	"no JSON":         "data: {\"choices\n\n",
	"odd types":       "data: {\"choices\":[{\"index\":\"x\",\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"tool_calls\":null,\"reasoning\":{}},\"finish_reason\":7}],\"usage\":[]}\n\n" + chunks("stop"),
	"other choices":   "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"}}]}\n\n" + chunks("stop"),
	"a message":       "data: {\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
	"line breaks":     strings.ReplaceAll(": hello\n\n"+chunks("stop", `{"content":"a"}`), "\n", "\r\n"),
	"returns":         strings.ReplaceAll(chunks("stop", `{"content":"a"}`), "\n", "\r"),
	"several lines":   "event: x\nid: 7\ndata: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"}}]}\n\n" + chunks("stop"),
	"no space":        strings.ReplaceAll(chunks("stop", `{"content":"a"}`), "data: ", "data:"),
	"a stop sequence": "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\",\"stop_reason\":\"END\"}]}\n\n",
}

func TestStreamsAreValidWhateverTheUpstreamSends(t *testing.T) {
	for name, upstream := range upstreams {
		for _, api := range []APIs{Messages, Responses} {
			call := testCall(t, api)
			whole, s, err := run(call, upstream, len(upstream)+1)
			if problem := validate(api, whole, err == nil && s.Failure() == nil); problem != "" {
				t.Errorf("%s: %s\n%s", name, problem, whole)
			}
			for _, size := range []int{1, 2, 3, 7, 64} {
				if got, _, again := run(call, upstream, size); got != whole || !errors.Is(again, err) {
					t.Errorf("%s in pieces of %d: %v\n%s\nwant %v\n%s", name, size, again, got, err, whole)
				}
			}
		}
	}
}

func TestWhatCannotBeTranslatedIsAnError(t *testing.T) {
	for name, want := range map[string]error{
		"interleaved": errInterleaved, "text in between": errInterleaved, "nameless": errNameless, "no JSON": ErrNoChat,
	} {
		if _, _, err := run(testCall(t, Messages), upstreams[name], 1000); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	for name, want := range map[string]string{"an error": `{"error":{"message":"out of memory"}}`, "an error's text": `{"error":"boom"}`, "an odd error": `{"error":7}`} {
		if _, s, err := run(testCall(t, Messages), upstreams[name], 1000); err != nil || string(s.Failure()) != want {
			t.Errorf("%s: %v %q", name, err, s.Failure())
		}
	}
}

// What an upstream can make the gate keep has a limit.
func TestAStreamKeepsABoundedPartOfAnAnswer(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	event := []byte(`data: {"choices":[{"delta":{"content":"` + long + `"}}]}` + "\n\n")
	for _, test := range []struct {
		name  string
		api   APIs
		piece []byte
		want  error
	}{
		{"an answer that is repeated", Responses, event, ErrTooLarge},
		{"an answer that passes", Messages, event, nil},
		{"an event without end", Messages, []byte(long), ErrTooLarge},
	} {
		s := testCall(t, test.api).Stream(testAnswer)
		var err error
		for i := 0; i < 12 && err == nil; i++ {
			_, err = s.Feed(test.piece)
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	many := testCall(t, Messages).Stream(testAnswer)
	var err error
	for i := 0; err == nil && i <= maxTools; i++ {
		_, err = many.Feed(fmt.Appendf(nil, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"function\":{\"name\":\"f\"}}]}}]}\n\n", i))
	}
	if !errors.Is(err, errTools) {
		t.Errorf("%d tools: %v", maxTools+1, err)
	}
	ended := testCall(t, Messages).Stream(testAnswer)
	ended.End(dialect.Usage{})
	for err = nil; err == nil; _, err = ended.Feed([]byte(long)) {
	}
	if !errors.Is(err, errAfterEnd) {
		t.Errorf("after the end: %v", err)
	}
}

func FuzzStream(f *testing.F) {
	for _, upstream := range upstreams {
		f.Add(upstream, 5)
	}
	f.Fuzz(func(t *testing.T, upstream string, size int) {
		for _, api := range []APIs{Messages, Responses} {
			call := testCall(t, api)
			got, s, err := run(call, upstream, max(size%100, 1))
			if problem := validate(api, got, err == nil && s.Failure() == nil); problem != "" {
				t.Errorf("%s\n%s", problem, got)
			}
			call.chat.Stream = false
			if body, err := call.Whole([]byte(upstream), dialect.Usage{}, testAnswer); err == nil && !json.Valid(body) {
				t.Errorf("no JSON: %s", body)
			}
		}
	})
}

// The gate's meter reads these streams, too.
func TestAStreamIsReadAsTheMeterReadsIt(t *testing.T) {
	plain := chunks("stop", `{"content":"one"}`, `{"content":" \"two\""}`)
	for name, upstream := range map[string]string{
		"after a byte order mark":            "\ufeff" + plain,
		"without empty lines between events": strings.ReplaceAll(strings.TrimSpace(plain), "\n\n", "\n") + "\n\n",
		"a text on several lines":            strings.ReplaceAll(plain, `,"delta"`, ",\ndata: \"delta\""),
	} {
		for _, api := range []APIs{Messages, Responses} {
			want, _, err := run(testCall(t, api), plain, len(plain))
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := run(testCall(t, api), upstream, 7); err != nil || got != want {
				t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
			}
		}
	}
}
