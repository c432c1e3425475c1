package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"

const (
	// imageTokens is what one image counts: the most that the common vision
	// encoders make of a picture of ordinary size.
	imageTokens = 1600
	// audioBytesPerToken relates base64 bytes of audio to tokens: 16 kHz, 16 bit
	// mono makes about 43,000 base64 bytes a second, and no encoder makes more than
	// 50 tokens of a second.
	audioBytesPerToken = 800
)

// mediaCount is what the images and the audio of a prompt are: the bytes that
// are no text, and the tokens that they stand for.
type mediaCount struct{ bytes, tokens int64 }

func (m *mediaCount) add(other mediaCount) {
	m.bytes += other.bytes
	m.tokens += other.tokens
}

// mediaDepth bounds how deep parts are looked for: each level is scanned once
// more. Lists of messages, of their parts and of the parts of a tool's result,
// and the objects in them, make six levels. Deeper ones count as text.
const mediaDepth = 8

// countMedia finds the parts of multi-part content that are no text.
func countMedia(body []byte, value jsonscan.Span, depth int) mediaCount {
	var sum mediaCount
	if depth == mediaDepth {
		return sum
	}
	switch body[value.Start] {
	case '[':
		scanner := jsonscan.ScanArray(body[:value.End], value.Start)
		for {
			element, ok := scanner.Next()
			if !ok {
				return sum
			}
			sum.add(countMedia(body, element, depth+1))
		}
	case '{':
		return countMediaObject(body, value, depth)
	}
	return sum
}

// countMediaObject counts an object that says of itself that it is an image or
// audio as a whole, and looks into every other one. A repeated type reads as
// parsers read it, the last wins, and messages are never one, because upstreams
// read those whatever type they claim: text does not pass for an image.
func countMediaObject(body []byte, value jsonscan.Span, depth int) mediaCount {
	var sum, whole mediaCount
	text := false
	size := int64(value.End - value.Start)
	scanner := jsonscan.ScanObject(body[:value.End], value.Start)
	for {
		name, at, ok := scanner.Next()
		if !ok {
			break
		}
		if jsonscan.Unusual(name) {
			name = []byte(jsonscan.UnescapeName(name))
		}
		switch string(name) {
		case "type":
			whole = mediaCount{}
			switch string(at.Of(body)) {
			case `"image_url"`, `"input_image"`, `"image"`:
				whole = mediaCount{bytes: size, tokens: imageTokens}
			case `"input_audio"`, `"audio"`:
				whole = mediaCount{bytes: size, tokens: size/audioBytesPerToken + 1}
			}
		case "images":
			sum.add(countImages(body, at))
		case "content", "messages":
			text = true
			sum.add(countMedia(body, at, depth+1))
		case "role", "text":
			text = true
		}
	}
	if whole.tokens > 0 && !text {
		return whole
	}
	return sum
}

// countImages counts a list of base64 images, the shape that Ollama uses.
func countImages(body []byte, value jsonscan.Span) mediaCount {
	if body[value.Start] != '[' {
		return mediaCount{}
	}
	sum := mediaCount{bytes: int64(value.End - value.Start)}
	scanner := jsonscan.ScanArray(body[:value.End], value.Start)
	for {
		if _, ok := scanner.Next(); !ok {
			return sum
		}
		sum.tokens += imageTokens
	}
}
