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

// count counts an event that carries a piece of an answer and returns where the
// piece stands. The key that was found last is tried first.
func (m *Meter) count(data []byte) jsonscan.Span {
	if text := textAfter(data, contentKeys[m.key]); text.End > text.Start {
		m.counted(sizeOf(text.Of(data)))
		return text
	}
	for i, key := range contentKeys {
		if text := textAfter(data, key); text.End > text.Start {
			m.key = i
			m.counted(sizeOf(text.Of(data)))
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
func textAfter(data, key []byte) jsonscan.Span {
	found := bytes.Index(data, key)
	if found < 0 {
		return jsonscan.Span{}
	}
	at := jsonscan.SkipSpace(data, found+len(key))
	if at >= len(data) || data[at] != '"' {
		return jsonscan.Span{}
	}
	end := jsonscan.SkipString(data, at)
	if end < 0 {
		return jsonscan.Span{Start: at + 1, End: len(data)}
	}
	return jsonscan.Span{Start: at + 1, End: end - 1}
}
