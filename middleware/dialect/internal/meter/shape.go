package meter

// Events is what the events of a stream look like.
type Events uint8

// The forms of events.
const (
	Native Events = iota // a server's own: a piece of the answer and running figures
	Chunks               // OpenAI's chunks; one of the last has a usage member
	Typed                // events that name their type, as those of Messages and Responses
)

// End is the member of a Native event that ends the stream. [DONE] always does.
type End uint8

// The members that end a stream.
const (
	EndDone     End = iota + 1 // done or stop is true
	EndFinished                // generated_text is there
)

// Shape is what a meter has to know about the replies of an operation. The zero
// Shape reads usage from wherever servers put it.
type Shape struct {
	Events Events
	// OnRequest says that a stream reports usage only to callers that ask for it.
	// The gate always asks, and takes it out for those who did not.
	OnRequest bool

	// End is the end of a stream of Native events.
	End End
	// WholeText says that each event holds the whole text so far.
	WholeText bool

	// Last and Failures are the types of Typed events that end a stream well and
	// badly.
	Last, Failures []string
	// Early is the type of the event whose usage is not yet the total.
	Early string
	// Piece is the suffix of the types of events that bring a new piece of the answer.
	// Events of other types repeat what has passed. Empty: any event may bring one.
	Piece string
	// Framed is the type of the events that differ only in their text.
	Framed string

	// CachedApart says that cached tokens are not part of the input that is reported.
	CachedApart bool
	// TotalIsInput says that nothing is generated, so that a total is the input where
	// that is not reported.
	TotalIsInput bool
	// Sound says that seconds of sound are reported too, or instead.
	Sound bool
	// Speech says that pieces of the answer are sound, in base64.
	Speech bool
	// Images says that the images of a whole reply are counted.
	Images bool
}

// unknown is the Shape of a reply about which nothing is known.
var unknown Shape
