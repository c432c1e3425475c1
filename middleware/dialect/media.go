package dialect

import (
	"bytes"
	"strings"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/internal/mediafile"
)

// mediumOf returns the kind of media that an object of this type holds.
func mediumOf(kind []byte) mediafile.Kind {
	switch string(kind) {
	case "image_url", "input_image", "image", "image_file", "computer_screenshot":
		return mediafile.Image
	case "image_embeds", "audio_embeds":
		return mediafile.Embedding
	case "document", "input_file", "file":
		return mediafile.Document
	case "input_audio", "audio", "audio_url":
		return mediafile.Audio
	case "video_url", "video", "input_video":
		return mediafile.Video
	}
	return mediafile.None
}

// mediumByMember returns the kind of an object without a type: vLLM takes it from the
// member that holds the file.
func mediumByMember(name []byte) mediafile.Kind {
	switch string(name) {
	case "image_url", "image_embeds", "audio_embeds", "video_url", "audio_url", "input_audio":
		return mediumOf(name)
	}
	return mediafile.None
}

// mediaMember is a member of the body that holds media beside the prompt.
type mediaMember struct {
	name string
	kind mediafile.Kind
}

// mediaFile is a file in an object whose type is not known yet.
type mediaFile struct {
	at    jsonscan.Span
	frame bool // one of several images that are a video
}

// mediaFinder collects the media of a body.
type mediaFinder struct {
	mediafile.Counter
	members uint8 // of the operation that were seen, by their index
	files   []mediaFile
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
	kind, byMember := mediafile.None, mediafile.None
	typed, text, fileIsText := false, false, false
	first := len(r.media.files)
	r.at.Enter()
	for {
		name, ok := r.at.Member()
		if !ok {
			break
		}
		switch partMemberOf(name) {
		case typeMember:
			kind, typed = mediumOf(r.text()), true
		case imagesMember:
			r.files(mediafile.Image, 0)
		case listMember:
			text = true
			r.content(depth + 1)
		case textMember:
			text = true
			r.at.Skip()
		case fileMember:
			byMember = max(byMember, mediumByMember(usualName(name)))
			fileIsText = r.file(depth, 0) || fileIsText
		default:
			r.at.Skip()
		}
	}
	if !typed {
		kind = byMember
	}
	files := r.media.files[first:]
	r.media.files = r.media.files[:first]
	switch {
	case kind == mediafile.None || fileIsText:
	case len(files) == 0 && !text:
		r.media.Add(kind, nil)
	default:
		for _, file := range files {
			r.mediaFile(kind, file, text)
		}
	}
}

// partMember is what a member of an object among messages holds.
type partMember uint8

const (
	otherMember  partMember = iota
	typeMember              // the type of the object
	textMember              // what makes it a message or a text
	listMember              // other objects
	imagesMember            // images in base64, as Ollama has them
	fileMember              // a file, or an object that holds one
)

// partMemberOf finds a member by its name. Servers that ignore the case of names read
// more of them than others: what those do not know counts as media too.
func partMemberOf(name []byte) partMember {
	switch string(name) {
	case "type":
		return typeMember
	case "role", "text":
		return textMember
	case "content", "messages", "output":
		return listMember
	case "images":
		return imagesMember
	case "url", "data", "image_url", "video_url", "audio_url", "file_url", "file_data", "file_id",
		"image", "video", "audio", "image_embeds", "audio_embeds", "input_audio", "input_image", "input_video",
		"source", "file":
		return fileMember
	}
	if jsonscan.Unusual(name) {
		if usual := usualName(name); string(usual) != string(name) {
			return partMemberOf(usual)
		}
	}
	return otherMember
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
			case string(name) == "type" || string(name) == "media_type":
				kind := bytes.ToLower(r.text())
				isText = isText || string(kind) == "text" || string(kind) == "content" || bytes.HasPrefix(kind, []byte("text/"))
			case string(name) == "content":
				r.content(depth + 1)
			case partMemberOf(name) == fileMember:
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

// files reads media of a kind: a file, an object that holds one, or a list of either,
// which may be one for each prompt of a batch.
func (r *requestReader) files(kind mediafile.Kind, within int) {
	switch r.at.Kind() {
	case '[':
		if kind == mediafile.Vectors {
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
			r.media.Add(kind, nil)
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
		r.media.Add(mediafile.Vectors, nil)
		r.media.Content.Bytes += int64(r.at.Skip().End - start)
		return
	}
	for r.at.Enter(); r.at.Element(); {
		r.files(mediafile.Vectors, 0)
	}
}

// mediaFile counts a file in an object of media. keep says that its bytes count as text
// too, because the object may be a message.
func (r *requestReader) mediaFile(kind mediafile.Kind, file mediaFile, keep bool) {
	raw := file.at.Of(r.body)
	if len(raw) < 2 {
		return // the body is no JSON
	}
	payload := raw[1 : len(raw)-1]
	if file.frame && kind == mediafile.Video {
		kind = mediafile.Image
	}
	if kind == mediafile.Document && mediafile.IsText(payload) {
		return
	}
	if !keep {
		r.media.Content.Bytes += int64(len(payload))
	}
	r.media.Add(kind, payload)
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
		case string(usualName(raw)) == "multimodal_data":
			r.files(mediafile.ImageOrAudio, 0)
		default:
			r.at.Skip()
		}
	}
}

// text goes behind the next value and returns it, if it is a text.
func (r *requestReader) text() []byte {
	raw := r.at.Skip().Of(r.body)
	switch {
	case len(raw) == 0 || raw[0] != '"':
		return nil
	case bytes.IndexByte(raw, '\\') >= 0:
		return []byte(jsonscan.Unquote(raw))
	}
	return raw[1 : len(raw)-1]
}

// usualName returns a member's name as the servers may read it that ignore its case.
func usualName(raw []byte) []byte {
	if !jsonscan.Unusual(raw) {
		return raw
	}
	return []byte(strings.ToLower(strings.ToUpper(jsonscan.UnescapeName(raw))))
}

// countMedia hands over what was found.
func (r *requestReader) countMedia() {
	if r.media.Found {
		content := r.media.Content
		r.call.Media = &content
		r.call.TextBytes -= content.Bytes
	}
}
