// Package dialect knows the shapes of requests, replies and errors that clients of
// language models speak, and reads out of them what the gate has to know: which
// model is called, how much it may produce at most, and how much it produced. It
// reads and edits bytes; it holds no connection and no clock.
//
// # The way of a call
//
// [Classify] says what a path means. [ReadRequest] reads the request's body in one
// pass, [Call.Apply] makes the body that goes to the upstream, and a [Meter] reads
// usage out of the reply while it passes:
//
//	route, known := dialect.Classify("POST", "/v1/chat/completions")
//	call, err := dialect.ReadRequest(route, body)
//	sent := call.Apply(body, dialect.Rewrite{OutputCap: 512, IncludeUsage: true})
//	meter := dialect.NewMeter(&call, !call.IncludeUsage)
//	meter.Body(reply) // or meter.Stream, piece by piece
//	usage, reported := meter.Reported()
//
// The calls of some routes are forms with a file of sound, which [Reader.ReadForm] reads,
// and [Call.FormPieces] makes the form that goes on without copying the file. The answer
// of some is a sound, which a [Sound] measures while it passes.
//
// Calls of translated dialects (Aquin, aiXplain) become OpenAI chat completions by
// [Call.ToChat] instead, and their replies are made by [Answer.Body]. What the gate
// refuses by itself is a [Refusal], written in the words of the caller's dialect.
//
// # Adding an operation or a dialect
//
// A [Spec] describes one operation: its paths, the permission it needs, where its
// request says what matters and what its reply looks like. The gate, the request
// reader, the rewriter and the meter know nothing else about it. To add one, write
// its Spec in the file of its dialect and add it to the list in route.go. scores.go
// has operations that need no more.
//
// A new dialect also has a [Name] and a description, in name.go: how its refusals
// look and which headers tell its clients of their limits.
//
// A request member that no other operation reads is added to members.go, and a way
// to report usage that no other server has to internal/meter.
//
// # Caveats
//
//   - A [Call] remembers where members stand in the body that it was read from.
//     Give its methods the same bytes.
//   - A body that two parsers could read in two ways is refused: repeated members,
//     names in another case, and everything that RFC 8259 does not call JSON unless
//     the [Reader] is lenient.
//   - Usage is what the upstream reports. What [Meter.Counted] counts of a stream is
//     an estimate for streams that break off.
//   - Media are estimated: images by the size that their header names, documents by
//     their pages, audio and video by their length or size. How many tokens those are
//     is for the rules of the model to say, in package media.
package dialect
