package meter

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// contentKeys are the members that hold a piece of an answer.
var contentKeys = [...][]byte{
	[]byte(`"content":`), []byte(`"text":`), []byte(`"delta":`), []byte(`"response":`), []byte(`"reasoning_content":`),
	[]byte(`"reasoning":`), []byte(`"arguments":`), []byte(`"thinking":`), []byte(`"partial_json":`),
}

// count counts an event that carries a piece of an answer and returns where in the
// event the piece stands. The key that was found last is tried first.
func (m *Meter) count(event []byte, at jsonscan.Span) jsonscan.Span {
	if text := textAfter(event, at, contentKeys[m.key]); text.End > text.Start {
		m.counted(sizeOf(text.Of(event)))
		return text
	}
	for i, key := range contentKeys {
		if text := textAfter(event, at, key); text.End > text.Start {
			m.key = i
			m.counted(sizeOf(text.Of(event)))
			return text
		}
	}
	return jsonscan.Span{}
}

func (m *Meter) counted(size int) {
	m.events++
	m.produced = true
	if m.shape.WholeText {
		m.content = max(m.content, int64(size))
		return
	}
	m.content += int64(size)
}

// sizeOf estimates how many bytes of text a model wrote: some servers escape every
// letter beyond ASCII, with six bytes for what are usually three.
func sizeOf(text []byte) int {
	size := len(text)
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 || at+1 == len(text) {
			return size
		}
		if text[at+1] == 'u' {
			size -= 3
		} else {
			size--
		}
		text = text[at+2:]
	}
}

// textAfter returns where the text that follows key stands, without its quotes.
func textAfter(event []byte, at jsonscan.Span, key []byte) jsonscan.Span {
	found := bytes.Index(at.Of(event), key)
	if found < 0 {
		return jsonscan.Span{}
	}
	data := event[:at.End]
	start := jsonscan.SkipSpace(data, at.Start+found+len(key))
	if start >= len(data) || data[start] != '"' {
		return jsonscan.Span{}
	}
	end := jsonscan.SkipString(data, start)
	if end < 0 {
		return jsonscan.Span{Start: start + 1, End: len(data)}
	}
	return jsonscan.Span{Start: start + 1, End: end - 1}
}
