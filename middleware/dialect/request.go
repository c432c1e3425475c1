package dialect

import (
	"fmt"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/media"
)

const (
	// maxChoices limits n and its like, as OpenAI does.
	maxChoices = 128
	// MaxOutputTokens limits every output cap, so that no product overflows.
	MaxOutputTokens = 1 << 30
	// maxModelName limits the name of a model, in bytes.
	maxModelName = 256
)

// RequestError says what is wrong with a request's body. The answer is status 400.
type RequestError struct {
	Param   string // member that is wrong; empty: the body as a whole
	Message string // sentence for the caller; it quotes no values of the body
}

// Error implements error.
func (e *RequestError) Error() string { return e.Message }

func badMember(name, format string, arguments ...any) *RequestError {
	return &RequestError{Param: name, Message: fmt.Sprintf("%q ", name) + fmt.Sprintf(format, arguments...)}
}

// Call is what the gate knows about a call from its request.
type Call struct {
	Route  Route
	Model  string // as the caller named it; empty: it named none
	Stream bool   // the answer comes in pieces
	// OutputCap is the maximum of tokens of one answer that the caller set; 0: none.
	OutputCap int64
	// OutputFloor is the minimum of tokens of one answer that the caller asks for; it
	// is never above an OutputCap that is not 0.
	OutputFloor int64
	// Answers is how many answers one call produces: the largest of n, best_of and
	// other servers' words for it, times the prompts of a batch. At least 1.
	Answers int64
	// TextBytes is the size of the body without its pictures, documents, sound and video.
	TextBytes int64
	// Media are those, counted in units of their own: how many tokens they are is for
	// the rules of the model to say. nil: there are none.
	Media *media.Content
	// IncludeUsage says that the caller asked for usage in the stream.
	IncludeUsage bool
	// PlainText says that the caller asked for an answer that is no JSON.
	PlainText bool
	// ContinuousUsage says that the caller asked for it on every chunk.
	ContinuousUsage bool

	fields fields
}

// Prompt returns the part of body that holds the prompt, as it stands on the wire.
// Prompts that begin alike begin with the same bytes.
func (c *Call) Prompt(body []byte) []byte {
	if c.fields.prompt.End > len(body) {
		return nil
	}
	return c.fields.prompt.Of(body)
}

// fields are the places of the members that may be edited.
type fields struct {
	object        jsonscan.Span // the whole top-level object
	model         jsonscan.Span
	capped        bool          // a member that the operation's servers obey caps the output
	cap           jsonscan.Span // value that means "no cap", to be replaced; empty: none
	options       jsonscan.Span // object that holds nested options
	streamOptions jsonscan.Span
	includeUsage  jsonscan.Span // its value inside stream_options
	continuous    jsonscan.Span
	prompt        jsonscan.Span
	details       jsonscan.Span // TGI: parameters.details
}

// ReadRequest reads what the gate has to know out of a request's body, in one
// pass. The body must be one JSON object in UTF-8. Members that the gate reads
// must not be repeated and must be spelled exactly: a body that two parsers
// could read in two ways is refused.
func ReadRequest(route Route, body []byte) (Call, error) { return Reader{}.Read(route, body) }

// Reader reads requests. The zero Reader passes members on that it does not know, and
// refuses what RFC 8259 does not call JSON.
type Reader struct {
	// LenientJSON passes bodies on with what some parsers take for JSON: control
	// characters in strings, half surrogates, NaN, 01. Strings, brackets and the members
	// that are read must be right.
	LenientJSON bool
	// StrictMembers refuses members that none of the servers of a path knows.
	StrictMembers bool
}

// Read is [ReadRequest] with the reader's rules.
func (o Reader) Read(route Route, body []byte) (Call, error) {
	call := Call{Route: route, Answers: 1, TextBytes: int64(len(body))}
	reader := requestReader{
		call: &call, shape: &route.Spec.request, body: body, prompts: 1, strict: o.StrictMembers,
		at: jsonscan.NewCursor(body, o.LenientJSON),
	}
	if err := reader.read(); err != nil {
		return call, err
	}
	reader.countMedia()
	return call, reader.finish()
}

// requestReader collects one body's members.
type requestReader struct {
	call    *Call
	shape   *requestShape
	body    []byte
	seen    [memberCount]bool
	worked  workSet // members of workMembers that were seen
	choices int64
	prompts int64
	stream  bool // a stream member was there
	strict  bool // unknown members are refused
	at      jsonscan.Cursor
	media   mediaFinder

	floorName string  // member that set the floor
	queries   side    // of a pair
	documents side    // likewise
	pace      float64 // of speech; 0: the usual one
	pixels    int64   // of an image; 0: the usual size
}

func (r *requestReader) read() error {
	if r.at.Err == nil && r.at.Kind() != '{' {
		return &RequestError{Message: notAnObject}
	}
	r.call.fields.object.Start = r.at.Pos
	r.at.Enter()
	for {
		name, ok := r.at.Member()
		if !ok {
			break
		}
		id := memberByName(name)
		if id == memberNone {
			if err := r.other(name); err != nil {
				return err
			}
			continue
		}
		if r.seen[id] {
			return badMember(string(name), "appears twice")
		}
		if r.strict && !r.call.Route.Spec.knows(memberNames[id]) {
			return badMember(memberNames[id], unknownMember)
		}
		r.seen[id] = true
		if err := r.member(id); err != nil {
			return err
		}
	}
	if r.at.Err != nil {
		return &RequestError{Message: r.at.Err.Error()}
	}
	r.call.fields.object.End = r.at.Pos
	if jsonscan.SkipSpace(r.body, r.at.Pos) != len(r.body) {
		return &RequestError{Message: fmt.Sprintf("the body holds more than one JSON value: the first ends at byte %d", r.at.Pos)}
	}
	return nil
}

// value goes behind the next value. Its error is that of a text that is no JSON.
func (r *requestReader) value() (jsonscan.Span, error) {
	span := r.at.Skip()
	if r.at.Err != nil {
		return span, &RequestError{Message: r.at.Err.Error()}
	}
	return span, nil
}

const notAnObject = "the body must be a JSON object"

const unknownMember = "is known to no server on this path"

// other reads a member that has no number of its own.
func (r *requestReader) other(name []byte) error {
	if found, err := r.mediaMember(name); found || err != nil {
		return err
	}
	value, err := r.value()
	if err != nil {
		return err
	}
	if i, ok := workByName[string(name)]; ok {
		if r.worked&(1<<i) != 0 {
			return badMember(string(name), "appears twice")
		}
		r.worked |= 1 << i
		return r.work(&workMembers[i], workMembers[i].name, value)
	}
	if jsonscan.Unusual(name) {
		if err := refuseLookalike(name); err != nil {
			return err
		}
	}
	if r.strict && !r.call.Route.Spec.knows(jsonscan.UnescapeName(name)) {
		return badMember(jsonscan.UnescapeName(name), unknownMember)
	}
	return unknownDraft(name)
}

func (r *requestReader) member(id memberID) error {
	switch id {
	case memberMessages, memberPrompt, memberInput, memberInputs, memberText, memberInputIDs, memberData, memberSystem:
		return r.prompt(id)
	case memberQuery, memberQueries, memberText1, memberData1:
		return r.side(&r.queries)
	case memberDocuments, memberItems, memberText2, memberData2:
		return r.side(&r.documents)
	case memberStreamOptions:
		return r.streamOptions()
	case memberOptions, memberParameters, memberSamplingParams, memberExtraBody:
		return r.nested(id, memberNames[id], 1)
	}
	value, err := r.value()
	if err != nil {
		return err
	}
	name, raw := memberNames[id], value.Of(r.body)
	switch id {
	case memberModel:
		return r.model(raw, value)
	case memberStream:
		r.stream = true
		return readBool(name, raw, &r.call.Stream)
	case memberMaxTokens, memberMaxCompletionTokens, memberMaxOutputTokens, memberPredict:
		return r.outputCap(id, name, value)
	case memberBackground:
		var background bool
		if err := readBool(name, raw, &background); err != nil {
			return err
		}
		if background {
			return r.refuse(id)
		}
	case memberSize:
		return r.size(raw)
	case memberSpeed:
		return r.speed(raw)
	case memberPreviousResponse, memberConversation:
		if !jsonscan.IsNull(raw) {
			return r.refuse(id)
		}
	}
	return nil
}

// refuse refuses a member that would make the call one that cannot be metered.
func (r *requestReader) refuse(id memberID) error {
	if why := r.shape.refuses[id]; why != "" {
		return badMember(memberNames[id], "%s", why)
	}
	return nil
}

func (r *requestReader) model(raw []byte, value jsonscan.Span) error {
	if jsonscan.IsNull(raw) {
		r.call.fields.model = value
		return nil
	}
	if raw[0] != '"' {
		return badMember("model", "must be a string")
	}
	name := jsonscan.Unquote(raw)
	if err := checkModelName(name); err != nil {
		return err
	}
	r.call.Model, r.call.fields.model = name, value
	return nil
}

// checkModelName refuses what cannot be the name of a model.
func checkModelName(name string) error {
	if name == "" || len(name) > maxModelName {
		return badMember("model", "must be a string of 1 to %d bytes", maxModelName)
	}
	return nil
}

// outputCap keeps the largest of all caps: servers differ in which of them they obey.
func (r *requestReader) outputCap(id memberID, name string, value jsonscan.Span) error {
	raw, obeyed := value.Of(r.body), r.shape.cap.obeyed.has(id)
	if jsonscan.IsNull(raw) {
		if obeyed {
			r.call.fields.cap = value
		}
		return nil
	}
	number, ok := jsonscan.ParseInteger(raw)
	if ok && number < 0 && obeyed && r.shape.cap.negative {
		r.call.fields.cap = value
		return nil
	}
	least := int64(1)
	if r.shape.cap.zero {
		least = 0
	}
	if !ok || number < least || number > MaxOutputTokens {
		return badMember(name, "must be a whole number from %d to %d", least, MaxOutputTokens)
	}
	r.call.OutputCap = max(r.call.OutputCap, number)
	if obeyed {
		r.call.fields.capped = true
	}
	return nil
}

// finish decides what depends on several members together.
func (r *requestReader) finish() error {
	call := r.call
	if r.shape.twin != nil {
		if err := r.chooseTwin(); err != nil {
			return err
		}
	}
	switch r.shape.stream {
	case streamUnlessDeclined:
		call.Stream = call.Stream || !r.stream
	case streamAlways:
		call.Stream = true
	case streamRefused:
		if call.Stream {
			return badMember("stream", "is not supported on this path")
		}
	case streamIgnored:
		call.Stream = false
	}
	if r.shape.pairs && r.documents.count > 1 && r.queries.count <= 1 {
		call.TextBytes += (r.documents.count - 1) * r.queries.text
	}
	if call.Route.Spec.NoInput {
		call.TextBytes, call.Media = 0, nil
	}
	if call.Route.Spec.NoOutput {
		call.OutputCap, call.OutputFloor = 0, 0
		return nil
	}
	switch call.Route.Spec.Makes {
	case MakesSound:
		r.capSound()
		return nil
	case MakesImages:
		return r.capImages()
	}
	if call.OutputCap > 0 && call.OutputFloor > call.OutputCap {
		return badMember(r.floorName, "must not be above the cap of the output, %d tokens", call.OutputCap)
	}
	if call.OutputCap == 0 {
		call.OutputCap = r.shape.cap.absent
	}
	if call.Route.Translated() {
		r.choices = 1 // whatever was asked for
	}
	call.Answers = max(1, r.choices) * r.prompts
	if call.Answers > maxChoices*16 {
		return badMember("n", "asks for too many answers")
	}
	if call.Answers > 1 && call.Stream && r.shape.oneAnswerStream {
		return &RequestError{Message: "a stream of more than one answer is not supported on this path"}
	}
	return nil
}

func readBool(name string, raw []byte, into *bool) error {
	switch string(raw) {
	case "true":
		*into = true
	case "false", "null":
		*into = false
	default:
		return badMember(name, "must be true or false")
	}
	return nil
}
