package dialect

import (
	"bytes"
	"encoding/binary"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// What media count at most, in tokens, for models in general. What an upstream reports
// replaces it.
const (
	// pixelsPerPatch is the side of the square of a picture that becomes one token.
	pixelsPerPatch = 28
	// pictureTokens is the maximum for one picture: encoders shrink what is larger.
	pictureTokens = 16384
	// unknownPicture is what a picture counts whose size is not known, such as one that
	// the upstream fetches: about 1800 by 1800 pixels.
	unknownPicture = 4096
	// pageTokens is what a page of a document counts, as a picture and as text.
	pageTokens = 4600
	// pageBytes is what a page takes at least, where the pages cannot be counted.
	pageBytes = 16 << 10
	// unknownFile is what a document or a video counts of which nothing is known.
	unknownFile = 16384
	// soundTokens is what encoders make of a second of sound at most.
	soundTokens = 50
	// soundBytes are those of a second of sound at a low rate, 32 kbit/s.
	soundBytes = 4000
	// videoTokens is what a second of video counts, and videoBytes what it takes at
	// least, at 0.5 Mbit/s.
	videoTokens = 300
	videoBytes  = 62500
	// embeddingBytes are base64 bytes of one token of an embedding with 1024 numbers of
	// two bytes; larger ones take more.
	embeddingBytes = 2730
	// documentHead limits how much of a document is searched for its pages.
	documentHead = 1 << 20
)

// mediaCount is the media of a prompt: how many bytes of the body they are, and how
// many tokens they count.
type mediaCount struct{ bytes, tokens int64 }

func (m *mediaCount) add(other mediaCount) {
	m.bytes += other.bytes
	m.tokens += other.tokens
}

// medium is a kind of media.
type medium uint8

const (
	notMedia medium = iota
	picture
	embedding
	document
	sound
	video
)

// mediumOf returns the kind of media that an object of this type holds.
func mediumOf(kind []byte) medium {
	switch string(kind) {
	case `"image_url"`, `"input_image"`, `"image"`, `"image_file"`:
		return picture
	case `"image_embeds"`:
		return embedding
	case `"document"`, `"input_file"`, `"file"`:
		return document
	case `"input_audio"`, `"audio"`, `"audio_url"`:
		return sound
	case `"video_url"`, `"video"`, `"input_video"`:
		return video
	}
	return notMedia
}

// estimate returns what a payload counts: base64, a data URL, or the name of a file
// that only the upstream sees.
func (m medium) estimate(payload []byte) int64 {
	size := int64(len(payload)) / 4 * 3 // of the file, if the payload holds it
	remote := len(payload) < 1024 || bytes.HasPrefix(payload, []byte("http"))
	switch m {
	case picture:
		if width, height, ok := pictureSize(decodeHead(payload, pictureHead)); ok {
			patches := ((width + pixelsPerPatch - 1) / pixelsPerPatch) * ((height + pixelsPerPatch - 1) / pixelsPerPatch)
			return min(patches+2, pictureTokens)
		}
		return unknownPicture
	case embedding:
		return int64(len(payload))/embeddingBytes + 1
	case document:
		if remote {
			return unknownFile
		}
		return pages(decodeHead(payload, documentHead), size) * pageTokens
	case sound:
		if remote {
			return unknownFile
		}
		return seconds(decodeHead(payload, 64), size) * soundTokens
	case video:
		if remote {
			return unknownFile
		}
		return (size/videoBytes + 1) * videoTokens
	}
	return 0
}

// pages counts the pages of a PDF file of which the beginning is known. Where they are
// compressed, or lie further behind, its size says how many there may be.
func pages(head []byte, size int64) int64 {
	var count int64
	for rest := head; ; {
		at := bytes.Index(rest, []byte("/Type"))
		if at < 0 {
			break
		}
		rest = bytes.TrimLeft(rest[at+len("/Type"):], " \r\n\t")
		if bytes.HasPrefix(rest, []byte("/Page")) && !bytes.HasPrefix(rest, []byte("/Pages")) {
			count++
		}
	}
	if count == 0 || size > int64(len(head)) {
		count = max(count, size/pageBytes+1)
	}
	return count
}

// seconds returns how long a sound lasts: a WAV file says how many bytes a second takes.
func seconds(head []byte, size int64) int64 {
	rate := int64(soundBytes)
	if len(head) >= 32 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WAVE" {
		rate = max(rate, int64(binary.LittleEndian.Uint32(head[28:])))
	}
	return size/rate + 1
}

// mediaDepth limits how deep media are looked for, because each level is scanned once
// more. Lists of messages, of their parts and of the parts of a tool's result, and
// the objects in them, make six levels. Media below that count as text.
const mediaDepth = 8

// countMedia counts the media in multi-part content.
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

// countMediaObject counts what an object holds whose type is one of media, and looks
// into every other object. Only the bytes of its files do not count as text. Text must
// not pass for media: of repeated types the last counts, as in parsers, and a message
// is never media, because upstreams read its text whatever type it claims.
func countMediaObject(body []byte, value jsonscan.Span, depth int) mediaCount {
	var sum mediaCount
	kind, text := notMedia, false
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
			kind = mediumOf(at.Of(body))
		case "images":
			sum.add(countImages(body, at))
		case "content", "messages", "output":
			text = true
			sum.add(countMedia(body, at, depth+1))
		case "role", "text":
			text = true
		}
	}
	if kind == notMedia || text {
		return sum
	}
	files, isText := countFiles(body, value, kind, 0)
	if isText {
		return sum
	}
	if files.tokens == 0 {
		files.tokens = kind.estimate(nil)
	}
	return files
}

// countFiles counts the files that an object of media holds. isText says that it holds
// text instead, as documents may.
func countFiles(body []byte, value jsonscan.Span, kind medium, depth int) (sum mediaCount, isText bool) {
	scanner := jsonscan.ScanObject(body[:value.End], value.Start)
	for {
		name, at, ok := scanner.Next()
		if !ok {
			return sum, false
		}
		switch string(name) {
		case "type", "media_type":
			kind := string(at.Of(body))
			if depth > 0 && (kind == `"text"` || kind == `"content"` || len(kind) > 5 && kind[:6] == `"text/`) {
				return mediaCount{}, true
			}
		case "url", "data", "image_url", "video_url", "audio_url", "file_url", "file_data", "file_id",
			"image", "video", "audio", "image_embeds", "input_audio", "input_video", "source", "file":
			found, isText := countFile(body, at, kind, depth)
			if isText {
				return mediaCount{}, true
			}
			sum.add(found)
		}
	}
}

// countFile counts a file, an object that holds one, or a list of pictures.
func countFile(body []byte, at jsonscan.Span, kind medium, depth int) (mediaCount, bool) {
	switch raw := at.Of(body); {
	case raw[0] == '"' && kind == document && bytes.HasPrefix(raw, []byte(`"data:text/`)):
		return mediaCount{}, true
	case raw[0] == '"':
		payload := raw[1 : len(raw)-1]
		return mediaCount{bytes: int64(len(payload)), tokens: kind.estimate(payload)}, false
	case raw[0] == '{' && depth < 3:
		return countFiles(body, at, kind, depth+1)
	case raw[0] == '[':
		return countImages(body, at), false // the frames of a video
	}
	return mediaCount{}, false
}

// countImages counts a list of base64 images, the shape that Ollama uses.
func countImages(body []byte, value jsonscan.Span) mediaCount {
	if body[value.Start] != '[' {
		return mediaCount{}
	}
	sum := mediaCount{bytes: int64(value.End - value.Start)}
	scanner := jsonscan.ScanArray(body[:value.End], value.Start)
	for {
		element, ok := scanner.Next()
		if !ok {
			return sum
		}
		payload := element.Of(body)
		sum.tokens += picture.estimate(bytes.Trim(payload, `"`))
	}
}
