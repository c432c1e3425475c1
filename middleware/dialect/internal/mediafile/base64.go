package mediafile

import (
	"bytes"
	"encoding/base64"
)

// maxPrefix limits what stands before the base64 text of a data URL.
const maxPrefix = 256

// content returns the base64 text of a payload: that of a data URL, or all of it. ok is
// false for another address and for a data URL in another encoding. Slashes may be
// escaped as JSON allows, also in the type of the data URL.
func content(payload []byte) (text []byte, ok bool) {
	if len(payload) < 5 || !bytes.EqualFold(payload[:5], []byte("data:")) {
		return payload, !IsAddress(payload)
	}
	comma := bytes.IndexByte(payload[:min(len(payload), maxPrefix)], ',')
	if comma < 0 || !bytes.HasSuffix(bytes.ToLower(payload[:comma]), []byte(";base64")) {
		return nil, false
	}
	return payload[comma+1:], true
}

// IsAddress says that a payload names a file that only the upstream sees.
func IsAddress(payload []byte) bool {
	colon := bytes.IndexByte(payload[:min(len(payload), 16)], ':')
	return colon > 0 && !bytes.EqualFold(payload[:colon], []byte("data"))
}

// IsText says that a payload is a text, as the type of its data URL has it, or that it
// may be one: nobody needs to write a letter of the type as its number.
func IsText(payload []byte) bool {
	prefix := payload[:min(len(payload), maxPrefix)]
	if comma := bytes.IndexByte(prefix, ','); comma >= 0 {
		prefix = prefix[:comma]
	}
	prefix = bytes.ReplaceAll(bytes.ToLower(prefix), []byte(`\/`), []byte("/"))
	return bytes.HasPrefix(prefix, []byte("data:text/")) || bytes.Contains(prefix, []byte(`\u`))
}

// decodeHead decodes the beginning of a payload into memory and returns it: as much as
// there is room for. It ends where decoders may disagree: white space is skipped by
// those that do not refuse it, and everything else that is not of the standard alphabet
// is skipped by some, a letter to others, and the end to more.
func decodeHead(payload, memory []byte) []byte {
	text, ok := content(payload)
	if !ok {
		return nil
	}
	room := cap(memory) / 3 * 3
	run := bytes.TrimRight(text[:min(len(text), room/3*4)], "=")
	if n, err := base64.RawStdEncoding.Decode(memory[:room], run); err == nil {
		return memory[:n]
	}
	return decodeSlowly(text, memory[:0])
}

// decodeSlowly is decodeHead for a text that is not all base64.
func decodeSlowly(text, memory []byte) []byte {
	for len(text) > 0 && cap(memory)-len(memory) >= 3 {
		var group [4]byte
		letters := 0
		for letters < 4 && len(text) > 0 {
			letter, size := next(text)
			if size == 0 {
				text = nil
				break
			}
			text = text[size:]
			if letter != 0 {
				group[letters] = letter
				letters++
			}
		}
		var three [3]byte
		n, err := base64.RawStdEncoding.Decode(three[:], group[:letters])
		if err != nil {
			break
		}
		memory = append(memory, three[:n]...)
	}
	return memory
}

// next returns the letter of base64 at the beginning of a JSON string's text, 0 for
// white space, and its size in the text; 0: it is neither.
func next(text []byte) (letter byte, size int) {
	switch c := text[0]; {
	case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/':
		return c, 1
	case c == ' ' || c == '\n' || c == '\r' || c == '\t':
		return 0, 1
	case c == '\\' && len(text) > 1:
		switch text[1] {
		case '/':
			return '/', 2
		case 'n', 'r', 't':
			return 0, 2
		}
	}
	return 0, 0
}

// plain returns a base64 text without white space, escapes and padding, in memory of its
// own. whole is false if it ends before the text does.
func plain(text []byte) (letters []byte, whole bool) {
	letters = make([]byte, 0, len(text))
	for len(text) > 0 {
		letter, size := next(text)
		if size == 0 {
			return letters, len(bytes.TrimLeft(text, "=")) == 0
		}
		if letter != 0 {
			letters = append(letters, letter)
		}
		text = text[size:]
	}
	return letters, true
}
