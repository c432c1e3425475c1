// Package translate turns calls of the Messages and the Responses API into chat
// completions, and the answers back, whole and as streams. It is for upstreams that have
// only the chat API.
//
// One file holds one shape: a request in messages.go, what is made of the answer in
// messages_reply.go, the events of a stream in messages_stream.go, and likewise for
// responses. In between stands the chat API: chat.go has the request, completion.go the
// answer and its chunks. A [Stream] reads chunks and tells a shape what they bring.
//
// What a chat completion cannot express is refused with a *dialect.RequestError, unless
// the API itself lets a server ignore it. Nothing is kept of a stream but what its last
// events must repeat, and that within bounds.
package translate
