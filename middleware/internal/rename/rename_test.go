package rename

import (
	"encoding/json"
	"strings"
	"testing"
)

// cases are replies, with @ where the public name has to stand and # where the upstream's
// name stands in a place that is none of the gate's.
var cases = map[string]struct {
	format Format
	reply  string
}{
	"a chat completion":   {JSON, `{"id":"c1","model":"@","choices":[{"message":{"content":"model\":\"#","model":"#"}}]}`},
	"not first":           {JSON, "{\n \"a\" : [ {\"model\":\"#\"} ] , \"model\" : \"@\" }"},
	"in its message":      {JSON, `{"type":"message_start","message":{"id":"m","usage":{"model":"#"},"model":"@"}}`},
	"in its response":     {JSON, `{"response":{"model":"@","output":[{"model":"#"}]},"model":"@"}`},
	"too deep":            {JSON, `{"response":{"response":{"model":"#"}},"x":{"message":{"model":"#"}}}`},
	"a list":              {JSON, `[{"model":"#"},{"message":{"model":"#"}}]`},
	"a text as response":  {JSON, `{"response":"\"model\":\"#\"","model":"@","done":true}`},
	"no text":             {JSON, `{"model":null,"message":{"model":7},"x":"#"}`},
	"other names":         {JSON, `{"models":"#","mode":"#","xmodel":"#","remote_model":"#","model ":"#"}`},
	"a value called so":   {JSON, `{"a":"model","b":"#","c":["model","#"],"model":"@"}`},
	"chunks":              {SSE, "data: {\"model\":\"@\",\"choices\":[]}\n\ndata:{\"model\":\"@\"}\n\ndata: [DONE]\n\n"},
	"names and comments":  {SSE, ": model\":\"#\nevent: message_start\ndata: {\"message\":{\"model\":\"@\"}}\nid: \"model\":\"#\"\n\nda: {\"model\":\"#\"}\ndata\n\n"},
	"an event of lines":   {SSE, "data: {\"a\":\ndata: {\"model\":\"#\"},\ndata: \"model\":\ndata: \"@\"}\n\n"},
	"carriage returns":    {SSE, "data: {\"model\":\r\ndata: \"@\"}\r\n\r\ndata: {\"model\":\"@\"}\r\n\r\n"},
	"nothing but returns": {SSE, "data: {\"model\":\rdata: \"@\"}\r\rdata: {\"model\":\"@\"}\r\r"},
	"lines":               {NDJSON, "{\"model\":\"@\",\"message\":{\"content\":\"#\"}}\n{\"model\":\"@\",\"response\":\"#\"}\n"},
	"broken events":       {SSE, "data: {\"model\":\"@\"\n\ndata: {\"x\":\"model\n\ndata: {\"model\":\"@\"}\n\n"},
	"broken lines":        {NDJSON, "{\"a\":[\"model\n{\"model\":\"@\"}\n"},
}

// rename sends a reply in pieces of a size through a Model.
func rename(m *Model, format Format, reply string, size int) string {
	var out strings.Builder
	for len(reply) > 0 {
		size := min(size, len(reply))
		out.Write(m.Apply(format, []byte(reply[:size])))
		reply = reply[size:]
	}
	return out.String()
}

func TestTheNameIsReplacedByItsPlaceWhateverThePieces(t *testing.T) {
	for name, test := range cases {
		for _, upstream := range []string{"llama-3.1-8b", `odd "\` + "\u00e9", "", "tiny"} {
			quoted, _ := json.Marshal(upstream)
			reply := strings.NewReplacer("@", strings.Trim(string(quoted), `"`), "#", "private").Replace(test.reply)
			if strings.HasSuffix(string(quoted), `\""`) {
				continue // Trim took too much
			}
			want := strings.NewReplacer("@", `the \"public\" one`, "#", "private").Replace(test.reply)
			for size := 1; size <= len(reply); size++ {
				if got := rename(New(`the "public" one`), test.format, reply, size); got != want {
					t.Fatalf("%s in pieces of %d:\n%s\nwant\n%s", name, size, got, want)
				}
			}
		}
	}
}

func TestAPieceWithoutTheNameCostsNoMemory(t *testing.T) {
	m := New("public")
	without := []byte("data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n")
	with := []byte("data: {\"model\":\"private\",\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n")
	m.Apply(SSE, with)
	if got := m.Apply(SSE, without); &got[0] != &without[0] {
		t.Error("a piece without the name is copied")
	}
	if allocations := testing.AllocsPerRun(100, func() { m.Apply(SSE, without); m.Apply(SSE, with) }); allocations != 0 {
		t.Errorf("%g allocations", allocations)
	}
}

// Whatever comes, pieces do not matter, and a reply that is JSON stays JSON.
func FuzzRename(f *testing.F) {
	for _, test := range cases {
		f.Add(uint8(test.format), test.reply, 3)
	}
	f.Fuzz(func(t *testing.T, format uint8, reply string, size int) {
		whole := rename(New("p"), Format(format%3), reply, len(reply)+1)
		if got := rename(New("p"), Format(format%3), reply, max(size%7, 1)); got != whole {
			t.Errorf("in pieces %q, whole %q", got, whole)
		}
		if Format(format%3) == JSON && json.Valid([]byte(reply)) != json.Valid([]byte(whole)) {
			t.Errorf("%q became %q", reply, whole)
		}
	})
}
