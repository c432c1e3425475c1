package dialect

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

// countMedia finds the parts of multi-part content that are no text. The value
// was scanned before, so its nesting is bounded.
func countMedia(body []byte, value span) mediaCount {
	var sum mediaCount
	switch body[value.start] {
	case '[':
		scanner := scanArray(body[:value.end], value.start)
		for {
			element, ok := scanner.next()
			if !ok {
				return sum
			}
			sum.add(countMedia(body, element))
		}
	case '{':
		return countMediaObject(body, value)
	}
	return sum
}

// countMediaObject counts an object that says of itself that it is an image or
// audio as a whole, and looks into every other one. A repeated type reads as
// parsers read it, the last wins: text does not pass for an image.
func countMediaObject(body []byte, value span) mediaCount {
	var sum, whole mediaCount
	size := int64(value.end - value.start)
	scanner := scanObject(body[:value.end], value.start)
	for {
		name, at, ok := scanner.next()
		if !ok {
			break
		}
		if unusual(name) {
			name = []byte(unescapeName(name))
		}
		switch string(name) {
		case "type":
			whole = mediaCount{}
			switch string(at.of(body)) {
			case `"image_url"`, `"input_image"`, `"image"`:
				whole = mediaCount{bytes: size, tokens: imageTokens}
			case `"input_audio"`, `"audio"`:
				whole = mediaCount{bytes: size, tokens: size/audioBytesPerToken + 1}
			}
		case "images":
			sum.add(countImages(body, at))
		case "content", "messages":
			sum.add(countMedia(body, at))
		}
	}
	if whole.tokens > 0 {
		return whole
	}
	return sum
}

// countImages counts a list of base64 images, the shape that Ollama uses.
func countImages(body []byte, value span) mediaCount {
	if body[value.start] != '[' {
		return mediaCount{}
	}
	sum := mediaCount{bytes: int64(value.end - value.start)}
	scanner := scanArray(body[:value.end], value.start)
	for {
		if _, ok := scanner.next(); !ok {
			return sum
		}
		sum.tokens += imageTokens
	}
}
