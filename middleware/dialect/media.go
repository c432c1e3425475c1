package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"

const (
	// imageTokens is what one image counts: the maximum that common vision encoders
	// make of a picture of ordinary size.
	imageTokens = 1600
	// audioBytesPerToken relates base64 bytes of audio to tokens: 16 kHz, 16 bit mono
	// is about 43,000 base64 bytes a second, and encoders make at most 50 tokens of
	// a second.
	audioBytesPerToken = 800
)

// mediaCount is the images and audio of a prompt: how many bytes of the body they are,
// and how many tokens they count.
type mediaCount struct{ bytes, tokens int64 }

func (m *mediaCount) add(other mediaCount) {
	m.bytes += other.bytes
	m.tokens += other.tokens
}

// mediaDepth limits how deep media is looked for, because each level is scanned once
// more. Lists of messages, of their parts and of the parts of a tool's result, and
// the objects in them, make six levels. Media below that counts as text.
const mediaDepth = 8

// countMedia counts the images and audio in multi-part content.
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

// countMediaObject counts all of an object whose type is image or audio as media, and
// looks into every other object. Text must not pass for an image: of repeated types
// the last counts, as in parsers, and a message is never media, because upstreams
// read its text whatever type it claims.
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
