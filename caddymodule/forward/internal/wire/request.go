package wire

import (
	"context"
	"io"
	"net/http"
	"net/textproto"
)

// Request is a request as it goes to an upstream.
type Request struct {
	// Head is what the reply is an answer to; only its method is looked at.
	Head *http.Request
	// Message writes the request.
	Message Message
	// Length is the length of the body in bytes.
	Length int64
	// Repeatable says that the request may be sent again when it is not known whether
	// the upstream has acted on it.
	Repeatable bool
}

// Message is the content of a request. Each attempt to send it asks for it anew.
type Message interface {
	// AppendHeader appends the request line and the header, with the empty line at its
	// end, to bytes and returns the result.
	AppendHeader(bytes []byte) []byte
	// Body returns the body from its beginning. Reading it must not wait for anybody. It
	// is not called for a body of no length.
	Body() (io.ReadCloser, error)
	// Interim gets the replies before the final one, with a status of 1xx.
	Interim(status int, header textproto.MIMEHeader)
}

// Reply is what an upstream answered. Its body must be read, not closed, and then End must
// be called.
type Reply struct {
	*http.Response
	connection *connection
}

// End gives the connection back. whole says that the body has been read to its end
// without an error; only then the connection serves further calls.
func (r *Reply) End(whole bool) { r.connection.end(whole && !r.Close) }

// DialError says that no connection to the upstream could be made: it has seen nothing.
type DialError struct{ error }

// Unwrap returns why.
func (e *DialError) Unwrap() error { return e.error }

// RoundTrip sends a request and returns its reply, once the header of that has come. When
// the context ends, so does the connection, until End is called.
//
// A kept connection may be closed by the upstream at the moment of use. Then the request
// goes out again on another one, if nothing of it has been written or it is Repeatable.
func (p *Pool) RoundTrip(ctx context.Context, r *Request) (Reply, error) {
	for {
		c, err := p.take(ctx)
		if err != nil {
			return Reply{}, err
		}
		response, err := c.exchange(ctx, r)
		if err == nil {
			return Reply{Response: response, connection: c}, nil
		}
		c.end(false)
		if ctx.Err() != nil {
			return Reply{}, context.Cause(ctx)
		}
		if !c.reused || c.written && !(r.Repeatable && isNoReply(err)) {
			return Reply{}, err
		}
	}
}
