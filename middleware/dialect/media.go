package dialect

import (
	"bytes"
	"strings"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/internal/mediafile"
	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// medium is a kind of media.
type medium uint8

const (
	notMedia medium = iota
	mediumImage
	mediumEmbedding
	mediumDocument
	mediumAudio
	mediumVideo
	mediumImageOrAudio // the file says which
	mediumVectors      // lists of numbers, one for each token
)

// mediumOf returns the kind of media that an object of this type holds.
func mediumOf(kind string) medium {
	switch kind {
	case "image_url", "input_image", "image", "image_file", "computer_screenshot":
		return mediumImage
	case "image_embeds", "audio_embeds":
		return mediumEmbedding
	case "document", "input_file", "file":
		return mediumDocument
	case "input_audio", "audio", "audio_url":
		return mediumAudio
	case "video_url", "video", "input_video":
		return mediumVideo
	}
	return notMedia
}

// mediumByMember returns the kind of an object without a type: vLLM takes it from the
// member that holds the file.
func mediumByMember(name string) medium {
	switch name {
	case "image_url", "image_embeds", "audio_embeds", "video_url", "audio_url", "input_audio":
		return mediumOf(name)
	}
	return notMedia
}

// mediaMember is a member of the body that holds media beside the prompt.
type mediaMember struct {
	name string
	kind medium
}

// mediaFile is a file in an object whose type is not known yet.
type mediaFile struct {
	at    jsonscan.Span
	frame bool // one of several images that are a video
}

// mediaFinder collects the media of a body.
type mediaFinder struct {
	content media.Content
	found   bool
	members uint8 // of the operation that were seen, by their index
	files   []mediaFile
	budget  mediafile.Budget
}

// mediaDepth limits how deep media are looked for. Lists of messages, of their parts and
// of the parts of a tool's result, and the objects in them, make six levels. What is
// below that counts as text.
const mediaDepth = 8

// content reads messages, or a part of them.
func (r *requestReader) content(depth int) {
	switch kind := r.at.Kind(); {
	case depth == mediaDepth:
		r.at.Skip()
	case kind == '[':
		for r.at.Enter(); r.at.Element(); {
			r.content(depth + 1)
		}
	case kind == '{':
		r.part(depth)
	default:
		r.at.Skip()
	}
}

// part reads an object among messages: one of media, if its type says so, or one that
// may hold others. Only the bytes of its files do not count as text. Text must not pass
// for media: of repeated types the last counts, as in parsers, and the bytes of a
// message count whatever type it claims, because upstreams read its text.
func (r *requestReader) part(depth int) {
	kind, byMember := notMedia, notMedia
	typed, text, fileIsText := false, false, false
	first := len(r.media.files)
	r.at.Enter()
	for {
		raw, ok := r.at.Member()
		if !ok {
			break
		}
		switch name := usualName(raw); name {
		case "type":
			kind, typed = mediumOf(r.text()), true
		case "images":
			r.images(0)
		case "content", "messages", "output":
			text = true
			r.content(depth + 1)
		case "role", "text":
			text = true
			r.at.Skip()
		default:
			if !holdsFile(name) {
				r.at.Skip()
				break
			}
			byMember = max(byMember, mediumByMember(name))
			fileIsText = r.file(depth, 0) || fileIsText
		}
	}
	if !typed {
		kind = byMember
	}
	files := r.media.files[first:]
	r.media.files = r.media.files[:first]
	switch {
	case kind == notMedia || fileIsText:
	case len(files) == 0 && !text:
		r.media.count(kind, nil)
	default:
		for _, file := range files {
			r.mediaFile(kind, file, text)
		}
	}
}

// holdsFile says that a member of an object of media may hold a file, or the object that
// does.
func holdsFile(name string) bool {
	switch name {
	case "url", "data", "image_url", "video_url", "audio_url", "file_url", "file_data", "file_id",
		"image", "video", "audio", "image_embeds", "audio_embeds", "input_audio", "input_image", "input_video",
		"source", "file":
		return true
	}
	return false
}

// file reads a file, an object that holds one, or a list of them. isText says that it is
// text instead, as documents may be.
func (r *requestReader) file(depth, within int) (isText bool) {
	const maxWithin = 3
	switch kind := r.at.Kind(); {
	case kind == '"':
		r.media.files = append(r.media.files, mediaFile{at: r.at.Skip(), frame: false})
	case kind == '{' && within < maxWithin:
		for r.at.Enter(); ; {
			raw, ok := r.at.Member()
			if !ok {
				return isText
			}
			switch name := usualName(raw); {
			case name == "type" || name == "media_type":
				kind := strings.ToLower(r.text())
				isText = isText || kind == "text" || kind == "content" || strings.HasPrefix(kind, "text/")
			case name == "content":
				r.content(depth + 1)
			case holdsFile(name):
				isText = r.file(depth, within+1) || isText
			default:
				r.at.Skip()
			}
		}
	case kind == '[' && within < maxWithin:
		first := len(r.media.files)
		for r.at.Enter(); r.at.Element(); {
			isText = r.file(depth, within+1) || isText
		}
		for i := range r.media.files[first:] {
			r.media.files[first+i].frame = true
		}
	default:
		r.at.Skip()
	}
	return isText
}

// images reads a list of base64 images, the shape that Ollama uses.
func (r *requestReader) images(within int) { r.files(mediumImage, within) }

// files reads media of a kind: a file, an object that holds one, or a list of either,
// which may be one for each prompt of a batch.
func (r *requestReader) files(kind medium, within int) {
	switch r.at.Kind() {
	case '[':
		if kind == mediumVectors {
			r.vectors()
			return
		}
		if within == mediaDepth {
			r.at.Skip()
			return
		}
		for r.at.Enter(); r.at.Element(); {
			r.files(kind, within+1)
		}
	case '"', '{':
		first := len(r.media.files)
		r.file(mediaDepth, 0)
		files := r.media.files[first:]
		r.media.files = r.media.files[:first]
		if len(files) == 0 {
			r.media.count(kind, nil)
		}
		for _, file := range files {
			r.mediaFile(kind, file, false)
		}
	default:
		r.at.Skip()
	}
}

// vectors reads lists of numbers in lists, each of them one token.
func (r *requestReader) vectors() {
	start := r.at.Pos
	if next := jsonscan.SkipSpace(r.body, start+1); next == len(r.body) || r.body[next] != '[' {
		r.media.found = true
		r.media.content.EmbeddingTokens.Add(media.Exactly(1))
		r.media.content.Bytes += int64(r.at.Skip().End - start)
		return
	}
	for r.at.Enter(); r.at.Element(); {
		r.files(mediumVectors, 0)
	}
}

// mediaFile counts a file in an object of media. keep says that its bytes count as text
// too, because the object may be a message.
func (r *requestReader) mediaFile(kind medium, file mediaFile, keep bool) {
	raw := file.at.Of(r.body)
	if len(raw) < 2 {
		return // the body is no JSON
	}
	payload := raw[1 : len(raw)-1]
	if file.frame && kind == mediumVideo {
		kind = mediumImage
	}
	if kind == mediumDocument && mediafile.IsText(payload) {
		return
	}
	if !keep {
		r.media.content.Bytes += int64(len(payload))
	}
	r.media.count(kind, payload)
}

// mediaMember reads a member of the body that holds media on this path. found is false
// if there is none of this name.
func (r *requestReader) mediaMember(raw []byte) (found bool, err error) {
	members := r.shape.media
	if r.shape.twin != nil {
		members = r.shape.twin.request.media
	}
	for i, member := range members {
		if member.name != string(raw) {
			continue
		}
		if r.media.members&(1<<i) != 0 {
			return true, badMember(member.name, "appears twice")
		}
		r.media.members |= 1 << i
		r.files(member.kind, 0)
		return true, nil
	}
	return false, nil
}

// textWithMedia reads a prompt: a text, or an object of a text and its media, which is
// llama-server's.
func (r *requestReader) textWithMedia() {
	if r.at.Kind() != '{' {
		r.at.Skip()
		return
	}
	for r.at.Enter(); ; {
		raw, ok := r.at.Member()
		switch {
		case !ok:
			return
		case usualName(raw) == "multimodal_data":
			r.files(mediumImageOrAudio, 0)
		default:
			r.at.Skip()
		}
	}
}

// text goes behind the next value and returns it, if it is a text.
func (r *requestReader) text() string {
	raw := r.at.Skip().Of(r.body)
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	return jsonscan.Unquote(raw)
}

// usualName returns a member's name as the servers may read it that ignore its case. It
// is on the safe side: what others do not know by that name counts as media too.
func usualName(raw []byte) string {
	if !jsonscan.Unusual(raw) {
		return string(raw)
	}
	return strings.ToLower(strings.ToUpper(jsonscan.UnescapeName(raw)))
}

// Of media that an upstream fetches, or has, nothing is known.
var (
	unseenPages  = media.Range{Likely: 4, Most: 1000}
	unseenAudio  = media.Range{Likely: 300, Most: 3600} // seconds
	unseenVideo  = media.Range{Likely: 20, Most: 3600}  // seconds
	unseenTokens = media.Range{Likely: 4096, Most: 16384}
)

// Bytes in base64 of a token of an embedding: 1024 numbers of two bytes, and 512.
const (
	usualTokenBytes = 2730
	leastTokenBytes = 1365
)

// count counts a file: base64, a data URL, or the name of what only the upstream sees.
func (f *mediaFinder) count(kind medium, payload []byte) {
	const shortest = 256 // of a file in base64: names are shorter
	f.found = true
	unseen := mediafile.IsAddress(payload) ||
		len(payload) < shortest && !bytes.HasPrefix(bytes.ToLower(payload[:min(len(payload), 5)]), []byte("data:"))
	pick := func(unknown media.Range, read func([]byte) media.Range) media.Range {
		if unseen {
			return unknown
		}
		return read(payload)
	}
	if kind == mediumImageOrAudio {
		if kind = mediumImage; mediafile.IsAudio(payload) {
			kind = mediumAudio
		}
	}
	switch kind {
	case mediumImage:
		if size, ok := mediafile.ImageSize(payload); ok {
			f.content.Images = append(f.content.Images, size)
		} else {
			f.content.UnknownImages++
		}
	case mediumDocument:
		f.content.Pages.Add(pick(unseenPages, f.budget.Pages))
	case mediumAudio:
		f.content.AudioSeconds.Add(pick(unseenAudio, mediafile.AudioSeconds))
	case mediumVideo:
		f.content.VideoSeconds.Add(pick(unseenVideo, mediafile.VideoSeconds))
	case mediumEmbedding:
		f.content.EmbeddingTokens.Add(pick(unseenTokens, func(payload []byte) media.Range {
			size := int64(len(payload))
			return media.Range{Likely: size/usualTokenBytes + 1, Most: size/leastTokenBytes + 1}
		}))
	}
}

// countMedia hands over what was found.
func (r *requestReader) countMedia() {
	if r.media.found {
		content := r.media.content
		r.call.Media = &content
		r.call.TextBytes -= content.Bytes
	}
}
