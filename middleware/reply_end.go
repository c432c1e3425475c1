package middleware

import (
	"net/http"
	"strings"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// redirects says that the upstream sends the client elsewhere, past the gate.
func (r *reply) redirects() bool {
	return r.status >= 300 && r.status < 400 && r.request.custom == nil
}

// truncated says that the handler returned normally but its answer has no end.
func (r *reply) truncated() bool {
	if r.mode == modeStream {
		return r.request.custom == nil && !r.meter.Complete()
	}
	return r.declared >= 0 && r.size < r.declared && !r.bodiless
}

// drain takes what is left in the decompressor, the event reader and the trailers.
// It also reads replies that must be translated, and finds errors that came with the
// status of success.
func (r *reply) drain(returned bool) {
	if r.gzip != nil {
		if err := r.gzip.close(); err != nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeStream && r.wrote && returned { // an event that was cut off is not sent
		if err := r.meter.Flush(r); err != nil && r.writeError == nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeTranslated && r.wrote && r.readError == nil {
		var ok bool
		if r.text, ok = dialect.ChatText(r.kept); !ok {
			r.readError = errNoChat
		}
	}
	if r.mode == modeWhole && r.wrote && r.request.custom == nil && r.readError == nil && dialect.SaysError(r.kept) {
		if _, reported := r.meter.Reported(); !reported {
			r.readError = errOnlyError
		}
	}
	header := r.w.Header()
	for name := range header { // trailers that were not announced
		if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && own(trailer) {
			delete(header, name)
		}
	}
	for _, name := range []string{headerInference, http.TrailerPrefix + headerInference} {
		if values, ok := header[name]; ok {
			delete(header, name)
			if took, ok := takeInference(http.Header{headerInference: values}); ok {
				r.inference, r.hasInference = took, true
			}
		}
	}
}

// passing says that parts of a body have left, so that the client must not be
// given another answer.
func (r *reply) passing() bool { return r.sent && r.mode == modeBody }

// reading returns what the reply showed.
func (r *reply) reading() reading {
	seen := reading{
		wrote: r.wrote, status: r.status, stream: r.mode == modeStream, passing: r.passing(),
		truncated: r.truncated(), redirects: r.redirects(), readError: r.readError, writeError: r.writeError,
		errorEvent: r.meter.Failed(), produced: r.meter.Produced(), early: r.meter.Early(), counted: r.meter.Counted(),
		inference: r.inference, hasInference: r.hasInference,
	}
	seen.usage, seen.hasUsage = r.meter.Reported()
	return seen
}
