package meter

import (
	"strings"
	"testing"
)

func TestEventsEndWithAnEmptyLine(t *testing.T) {
	for _, test := range []struct {
		format Format
		data   string
		end    int
	}{
		{SSE, "data: a\n\ndata: b\n\n", 9},
		{SSE, "data: a\r\n\r\nrest", 11},
		{SSE, "event: x\ndata: a\n\n", 18},
		{SSE, "\nrest", 1},
		{SSE, "\r\nrest", 2},
		{SSE, "data: a\n", 0},
		{SSE, "data: a\r\n\r", 0},
		{SSE, "data: a\r\rdata: b", 9},
		{SSE, "data: a\r\r", 9},
		{SSE, "data: a\r", 0},
		{SSE, "data: a\r\r\nrest", 10},
		{SSE, "data: a\n\rrest", 9},
		{SSE, "data: a\r\n\nrest", 10},
		{SSE, "data: a\rdata: b\r\n\r\n", 19},
		{SSE, "\r", 1},
		{SSE, "\rrest", 1},
		{SSE, "", 0},
		{NDJSON, "{}\r\n{}\r\n", 4},
		{NDJSON, "{}\n{}\n", 3},
		{NDJSON, "{", 0},
	} {
		cut := splitter{format: test.format, returns: strings.Contains(test.data, "\r")}
		if end := cut.end([]byte(test.data)); end != test.end {
			t.Errorf("%q ends at %d, want %d", test.data, end, test.end)
		}
	}
}

func TestAnIncompleteEventWaits(t *testing.T) {
	var cut splitter
	piece := []byte("data: a")
	cut.keep(piece)
	clear(piece) // the caller uses it again
	joined := cut.join([]byte("b\n\nrest"))
	if string(joined) != "data: ab\n\nrest" {
		t.Fatalf("joined: %q", joined)
	}
	cut.keep(joined[10:])
	if string(cut.tail) != "rest" {
		t.Errorf("kept: %q", cut.tail)
	}
	if cut.keep(nil); len(cut.tail) != 0 {
		t.Errorf("kept: %q", cut.tail)
	}
}
