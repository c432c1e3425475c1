package mediafile

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// Kind is a kind of media.
type Kind uint8

// The kinds of media.
const (
	None Kind = iota
	Image
	Embedding
	Document
	Audio
	Video
	ImageOrAudio // the file says which
	Vectors      // lists of numbers, one for each token
)

// Of media that an upstream fetches, or has, nothing is known.
var (
	UnseenPages = media.Range{Likely: 4, Most: 1000}
	UnseenAudio = media.Range{Likely: 300, Most: 3600} // seconds
	UnseenVideo = media.Range{Likely: 20, Most: 3600}  // seconds

	unseenEmbedding = media.Range{Likely: 4096, Most: 16384}
)

// Bytes in base64 of a token of an embedding: 1024 numbers of two bytes, and 512.
const (
	usualTokenBytes = 2730
	leastTokenBytes = 1365
)

// shortestFile is the length in base64 from which on what may be a file or its name is a
// file.
const shortestFile = 256

// Counter counts the media of one request. The zero Counter is ready to use.
type Counter struct {
	Content media.Content // but for its bytes
	Found   bool          // something was counted

	budget Budget
}

// Add counts a file: base64, a data URL, or the name of what only the upstream sees,
// which may be empty.
func (c *Counter) Add(kind Kind, payload []byte) {
	c.Found = true
	prefix := payload[:min(len(payload), len("data:"))]
	unseen := IsAddress(payload) || len(payload) < shortestFile && !bytes.EqualFold(prefix, []byte("data:"))
	if kind == ImageOrAudio {
		if kind = Image; IsAudio(payload) {
			kind = Audio
		}
	}
	content := &c.Content
	switch kind {
	case Image:
		if size, ok := ImageSize(payload); ok {
			content.Images = append(content.Images, size)
		} else {
			content.UnknownImages++
		}
	case Document:
		pages := UnseenPages
		if !unseen {
			pages = c.budget.Pages(payload)
		}
		content.Pages.Add(pages)
	case Audio:
		seconds := UnseenAudio
		if !unseen {
			seconds = AudioSeconds(payload)
		}
		content.AudioSeconds.Add(seconds)
	case Video:
		seconds := UnseenVideo
		if !unseen {
			seconds = VideoSeconds(payload)
		}
		content.VideoSeconds.Add(seconds)
	case Embedding:
		tokens := unseenEmbedding
		if size := int64(len(payload)); !unseen {
			tokens = media.Range{Likely: size/usualTokenBytes + 1, Most: size/leastTokenBytes + 1}
		}
		content.EmbeddingTokens.Add(tokens)
	case Vectors:
		content.EmbeddingTokens.Add(media.Exactly(1))
	}
}
