package meter

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// node is an object in a reply that may hold reported numbers.
type node uint8

const (
	nodeNone node = iota
	nodeRoot
	nodeUsage
	nodeUsageDetails
	nodeWrapper // message or response: holds usage
	nodeMeta    // SGLang's meta_info
	nodeDetails // TGI's details
	nodeChoices
	nodeImages
)

// child says what a member of a node is: another node or a field.
func (n node) child(name []byte) (node, field) {
	switch n {
	case nodeRoot:
		return rootChild(name)
	case nodeWrapper:
		if string(name) == "usage" {
			return nodeUsage, fieldNone
		}
	case nodeUsage:
		return usageChild(name)
	case nodeUsageDetails:
		if string(name) == "cached_tokens" {
			return nodeNone, fieldCached
		}
	case nodeMeta:
		switch string(name) {
		case "prompt_tokens":
			return nodeNone, fieldInput
		case "completion_tokens":
			return nodeNone, fieldOutput
		case "cached_tokens":
			return nodeNone, fieldCached
		}
	case nodeDetails:
		switch string(name) {
		case "input_length":
			return nodeNone, fieldInput
		case "generated_tokens":
			return nodeNone, fieldOutput
		}
	case nodeChoices:
		if string(name) == "finish_reason" {
			return nodeNone, fieldFinish
		}
	case nodeImages:
		if string(name) == "b64_json" || string(name) == "url" {
			return nodeNone, fieldImage
		}
	}
	return nodeNone, fieldNone
}

func rootChild(name []byte) (node, field) {
	switch string(name) {
	case "usage":
		return nodeUsage, fieldNone
	case "message", "response":
		return nodeWrapper, fieldNone
	case "meta_info":
		return nodeMeta, fieldNone
	case "details":
		return nodeDetails, fieldNone
	case "choices":
		return nodeChoices, fieldNone
	case "tokens_evaluated", "prompt_eval_count", "tokens_in":
		return nodeNone, fieldInput
	case "tokens_predicted", "eval_count", "tokens_out":
		return nodeNone, fieldOutput
	case "done", "stop":
		return nodeNone, fieldDone
	case "generated_text":
		return nodeNone, fieldFinish
	case "duration":
		return nodeNone, fieldSound
	case "data":
		return nodeImages, fieldNone
	}
	return nodeNone, fieldNone
}

func usageChild(name []byte) (node, field) {
	switch string(name) {
	case "prompt_tokens", "input_tokens":
		return nodeNone, fieldInput
	case "completion_tokens", "output_tokens":
		return nodeNone, fieldOutput
	case "total_tokens":
		return nodeNone, fieldTotal
	case "prompt_tokens_details", "input_tokens_details":
		return nodeUsageDetails, fieldNone
	case "cache_creation_input_tokens":
		return nodeNone, fieldCacheCreation
	case "cache_read_input_tokens":
		return nodeNone, fieldCacheRead
	case "seconds":
		return nodeNone, fieldSound
	}
	return nodeNone, fieldNone
}

const (
	maxKey   = 32 // longer than every name that is looked for
	maxNodes = 6  // the deepest place: list, reply, wrapper, usage, details
)

// walker reads reported numbers out of JSON that arrives in pieces of any size. It
// keeps only the name that it is reading, and descends only where numbers are
// reported. Text that is not JSON gives no numbers and never an error.
type walker struct {
	tally tally // what has been reported so far
	list  tally // sum of the finished elements of a list

	nodes   [maxNodes]node
	objects [maxNodes]bool // the open bracket is an object, not a list
	depth   int
	skipped int // open brackets inside a value that is not looked into

	key       [maxKey]byte
	keyLength int
	wantKey   bool
	inKey     bool
	inString  bool
	escaped   bool // the next byte of the string is escaped
	totals    bool // a total is the input
	sound     bool // seconds are read
	images    bool // images are counted

	next     node            // what the member's value is
	pending  field           // field that the value belongs to
	literal  jsonscan.Number // number, true, false or null that is being read
	reported bool            // the text has reported a figure
}

// reset prepares for another JSON text of the same reply and keeps what was reported.
func (w *walker) reset() {
	*w = walker{tally: w.tally, list: w.list, totals: w.totals, sound: w.sound, images: w.images}
}

// feed reads the next piece.
func (w *walker) feed(piece []byte) {
	for at := 0; at < len(piece); {
		switch {
		case w.inString:
			at += w.readString(piece[at:])
		case w.skipped > 0:
			at += w.skip(piece[at:])
		default:
			w.step(piece[at])
			at++
		}
	}
}

// step reads one byte outside strings and skipped values.
func (w *walker) step(c byte) {
	switch c {
	case '"':
		w.inString = true
		w.inKey, w.keyLength = w.wantKey, 0
		w.wantKey = false
	case '{', '[':
		w.open(c == '{')
	case '}', ']':
		w.endLiteral()
		w.close()
	case ',':
		w.endLiteral()
		w.endMember()
	case ':':
	case ' ', '\n', '\r', '\t':
		w.endLiteral()
	default:
		w.readLiteral(c)
	}
}

// endMember forgets the member's meaning. The elements of a list of choices or of
// replies mean the same as the list.
func (w *walker) endMember() {
	w.pending, w.next = fieldNone, nodeNone
	if w.depth > 0 {
		w.wantKey = w.objects[w.depth-1]
		if !w.objects[w.depth-1] {
			w.next = w.nodes[w.depth-1]
		}
	}
}

func (w *walker) open(object bool) {
	next := w.next
	if w.depth == 0 {
		next = nodeRoot
	}
	if next == nodeNone || w.depth == maxNodes || !object && next != nodeChoices && next != nodeImages && w.depth > 0 {
		switch w.pending {
		case fieldNone, fieldFinish, fieldDone, fieldSound, fieldImage:
		default:
			w.tally.invalid = true
		}
		w.skipped = 1
		return
	}
	w.nodes[w.depth], w.objects[w.depth] = next, object
	w.depth++
	w.endMember()
}

func (w *walker) close() {
	if w.depth == 0 {
		return
	}
	w.depth--
	if w.depth == 1 && !w.objects[0] && w.nodes[0] == nodeRoot { // an element of a list of replies
		w.list.add(&w.tally)
		w.tally = tally{}
	}
	w.wantKey = false
	w.pending, w.next = fieldNone, nodeNone
}

// readString reads up to the end of the string or of the piece.
func (w *walker) readString(piece []byte) int {
	if w.inKey {
		return w.readKey(piece)
	}
	at := 0
	if w.escaped {
		at, w.escaped = 1, false
	}
	for {
		found := bytes.IndexByte(piece[at:], '"')
		end := at + found
		if found < 0 {
			end = len(piece)
		}
		slashes := 0
		for end-slashes > at && piece[end-slashes-1] == '\\' {
			slashes++
		}
		if found < 0 {
			w.escaped = slashes&1 == 1
			return len(piece)
		}
		at = end + 1
		if slashes&1 == 0 {
			w.inString = false
			w.stringValue()
			return at
		}
	}
}

// stringValue notes a text where something is looked for. It may be a finish reason;
// it cannot be a count.
func (w *walker) stringValue() {
	switch w.pending {
	case fieldNone, fieldDone, fieldSound:
	case fieldFinish:
		w.tally.finished = true
	case fieldImage:
		w.tally.value[fieldImage]++
	default:
		w.tally.invalid = true
	}
}

// readKey collects a member's name. Names that are looked for are short and have no
// escapes.
func (w *walker) readKey(piece []byte) int {
	for at, c := range piece {
		switch {
		case w.escaped:
			w.escaped = false
		case c == '\\':
			w.escaped = true
			w.keyLength = maxKey + 1
		case c == '"':
			w.inString, w.inKey = false, false
			w.next, w.pending = nodeNone, fieldNone
			if w.keyLength <= maxKey && w.depth > 0 {
				w.next, w.pending = w.nodes[w.depth-1].child(w.key[:w.keyLength])
				if w.pending == fieldTotal && !w.totals || w.pending == fieldSound && !w.sound {
					w.pending = fieldNone
				}
				if w.next == nodeImages && !w.images {
					w.next = nodeNone
				}
			}
			return at + 1
		case w.keyLength < maxKey:
			w.key[w.keyLength] = c
			w.keyLength++
		default:
			w.keyLength = maxKey + 1
		}
	}
	return len(piece)
}

// skip passes over a value that is not looked into.
func (w *walker) skip(piece []byte) int {
	for at, c := range piece {
		if !jsonscan.Structural(c) {
			continue
		}
		switch c {
		case '"':
			w.inString = true
			return at + 1
		case '{', '[':
			w.skipped++
		default:
			if w.skipped--; w.skipped == 0 {
				w.pending, w.next = fieldNone, nodeNone
				return at + 1
			}
		}
	}
	return len(piece)
}

func (w *walker) readLiteral(c byte) {
	if w.pending != fieldNone {
		w.literal.Add(c)
	}
}

func (w *walker) endLiteral() {
	if !w.literal.Open() {
		return
	}
	value := w.literal
	w.literal = jsonscan.Number{}
	switch {
	case value.First() == 'n': // null
	case w.pending == fieldDone:
		w.tally.done = w.tally.done || value.First() == 't'
	case w.pending == fieldFinish, w.pending == fieldImage:
	case w.pending == fieldSound:
		sound, fits := value.TimesUp(SoundUnits)
		w.tally.set(fieldSound, sound, fits)
		w.reported = true
	default:
		number, whole := value.Whole()
		w.tally.set(w.pending, number, whole)
		w.reported = true
	}
}

// total returns everything reported so far.
func (w *walker) total() tally {
	sum := w.list
	sum.add(&w.tally)
	return sum
}
