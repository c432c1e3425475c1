package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

// Permission is a word that limits a key to a class of paths.
type Permission = string

// The permissions. A path without one is open to every key.
const (
	PermissionInference  Permission = "inference"  // a model answers
	PermissionEmbeddings Permission = "embeddings" // a model makes embeddings
	PermissionRAG        Permission = "rag"        // retrieval, and what the operator named
)

// Handling is what the gate does with a request.
type Handling uint8

// The ways to handle a request.
const (
	SendCall      Handling = iota // the call goes to an upstream
	ListModels                    // the gate lists the models
	DescribeModel                 // the gate tells of one model
	TellVersion                   // the gate tells which version of an API it speaks
	CountTokens                   // an upstream or the gate counts a prompt, for no charge
	StartRun                      // the call runs in the background, the gate answers with an address
	PollRun                       // the gate answers with the state of such a run
)

// Product is what the answer to a call is.
type Product uint8

// The products.
const (
	MakesText   Product = iota // and everything else that is told in JSON
	MakesSound                 // a file, or a stream of events with pieces of one
	MakesImages                // told in JSON, and counted
)

// Spec describes one operation of a dialect: all that the gate, the request reader,
// the rewriter and the meter have to know about it. Specs are shared; do not
// change one.
type Spec struct {
	Dialect Name
	Class   string // class of the paths in reports and metrics
	Method  string
	// Paths are the operation's paths. One that ends with a slash is followed by a
	// segment that names the target.
	Paths []string
	// LongTarget says that the target may have several segments, as the names of
	// models that contain a slash have where clients do not escape it.
	LongTarget bool
	Permission Permission
	Handling   Handling

	ModelOptional bool // a call need not name a model
	ModelInPath   bool // the target names the model, not the body
	NoOutput      bool // nothing is generated: no output to cap or to charge
	NoInput       bool // no model reads: no input to limit or to charge
	RepeatsPrompt bool // an answer may repeat the prompt
	Makes         Product
	Form          bool // the request is a form with a file of sound
	// CountHeaders are the reply's headers with the tokens of input and output;
	// empty: there are none.
	CountHeaders [2]string

	// answer are the members of a whole reply of which an answer has at least one.
	answer []string
	// answerList says that a reply may be a list of objects that have them.
	answerList bool

	request     requestShape
	translation *translation // nil: the call goes on as it is
	reply       meter.Shape
}

// requestShape is where a request says what the gate has to know.
type requestShape struct {
	cap    capShape
	stream streamRule
	usage  usageMember

	// options are the members that hold an object of nested options.
	options memberSet
	// streamInOptions says that options may hold a stream member too.
	streamInOptions bool
	// media are the members of the body that hold media beside the prompt.
	media []mediaMember
	// pairs says that each document is read together with the query, or with its own
	// where there are as many queries.
	pairs bool
	// oneAnswerStream says that a stream carries one answer only.
	oneAnswerStream bool
	// refuses are members with which the call could not be metered, and the error
	// for it. Null, and false where it means no, are allowed.
	refuses map[memberID]string

	// twin is the operation of another server on the same path. own are the members
	// that only this server knows: a call without the first of them is for the twin,
	// and mixed is the error for one with members of both.
	twin  *Spec
	own   []memberID
	mixed string
}

// capShape is the member that caps one answer's output.
type capShape struct {
	name   string
	within memberID // object that holds it; memberNone: the body
	// obeyed are the members of the body, of all that mean a cap somewhere, that
	// the operation's servers obey.
	obeyed memberSet
	// zero says that a cap of 0 is allowed.
	zero bool
	// negative says that a negative number means no cap.
	negative bool
	// absent is the cap of a call that sets none; 0: it has none.
	absent int64
}

// streamRule is when an answer comes in pieces.
type streamRule uint8

const (
	streamIfAsked streamRule = iota
	streamUnlessDeclined
	streamAlways
	streamRefused // asking for one is an error
	streamIgnored // asking for one changes nothing
)

// usageMember is the member that makes a stream report its usage.
type usageMember uint8

const (
	usageAlways        usageMember = iota // nothing to ask for
	usageStreamOptions                    // stream_options.include_usage
	usageDetails                          // parameters.details
)
