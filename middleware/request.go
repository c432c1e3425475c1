package middleware

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// firstRead bounds the memory that a declared length gets before the bytes come.
const firstRead = 64 << 10

// read reads the request, finds out what it asks for and prepares the body that
// goes to the upstream.
func (x *exchange) read(w http.ResponseWriter, r *http.Request) *dialect.Refusal {
	if x.custom != nil {
		return x.readCustom(r)
	}
	raw, refusal := x.readBody(w, r)
	if refusal != nil {
		return refusal
	}
	call, err := dialect.ReadRequest(x.call.Route, raw)
	if err != nil {
		return refuseBody(err)
	}
	x.call, x.received = call, raw
	if refusal := x.chooseModel(); refusal != nil {
		return refusal
	}
	if refusal := x.chooseCap(); refusal != nil {
		return refusal
	}
	if err := x.prepareBody(); err != nil {
		return refuseBody(err)
	}
	return nil
}

// readCustom prepares a call whose body the gate does not read. Limits and
// prices know it by its path.
func (x *exchange) readCustom(r *http.Request) *dialect.Refusal {
	x.model = Model{Name: r.URL.EscapedPath()}
	x.call.Answers = 1
	if r.ContentLength > x.gate.maxBody {
		return refuseLarge(x.gate.maxBody)
	}
	if !x.caller.mayUse(x.model.Name) {
		return refuseModel(x.model.Name)
	}
	return nil
}

// readBody reads the whole body, unpacked if it came packed.
func (x *exchange) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *dialect.Refusal) {
	limit := x.gate.maxBody
	if r.ContentLength > limit {
		return nil, refuseLarge(limit)
	}
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	if r.ContentLength > 0 && (encoding == "" || encoding == "identity") {
		raw, err := x.readKnown(r.Body, int(r.ContentLength))
		return raw, refuseRead(err)
	}
	var source io.Reader = http.MaxBytesReader(w, r.Body, limit)
	switch encoding {
	case "", "identity":
	case "gzip":
		unpacked, err := gzip.NewReader(source)
		if err != nil {
			return nil, refuseRead(err)
		}
		source = io.LimitReader(unpacked, limit+1)
	default:
		return nil, &dialect.Refusal{
			Reason: dialect.BadRequest, Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding", Final: true,
			Message: "the body's Content-Encoding must be gzip or none",
		}
	}
	var buffer bytes.Buffer
	if _, err := buffer.ReadFrom(source); err != nil {
		return nil, refuseRead(err)
	}
	if int64(buffer.Len()) > limit {
		return nil, refuseLarge(limit)
	}
	return buffer.Bytes(), nil
}

// readKnown reads a body of a known length. What has come proves a caller
// willing to send the rest: only then is memory made for it.
func (x *exchange) readKnown(source io.Reader, length int) ([]byte, error) {
	pool := &x.gate.bodies
	raw := pool.ready(length)
	if raw == nil && length <= firstRead {
		raw = pool.take(length)
	}
	if raw != nil {
		_, err := io.ReadFull(source, raw)
		return raw, err
	}
	first := pool.take(firstRead)
	defer pool.give(first)
	if _, err := io.ReadFull(source, first); err != nil {
		return nil, err
	}
	raw = pool.take(length)
	_, err := io.ReadFull(source, raw[copy(raw, first):])
	return raw, err
}

func refuseRead(err error) *dialect.Refusal {
	if err == nil {
		return nil
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refuseLarge(large.Limit) // perhaps that of a handler before the gate
	}
	return &dialect.Refusal{Reason: dialect.BadRequest, Code: "unreadable_body", Message: "the body could not be read to its end", Final: true}
}

func refuseLarge(limit int64) *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.TooLarge, Final: true,
		Message: fmt.Sprintf("the body is larger than %d bytes", limit),
	}
}

// nameless says that requests of a dialect need not name a model.
func nameless(route dialect.Route) bool {
	switch route.Kind {
	case dialect.Aquin, dialect.LlamaCpp, dialect.TGI, dialect.SGLang:
		return true
	}
	return false
}

// chooseModel finds the model that the call names or means.
func (x *exchange) chooseModel() *dialect.Refusal {
	name := x.call.Model
	if x.call.Route.Kind == dialect.Aixplain {
		name = x.call.Route.Target
	}
	var configured []Model
	if x.gate.catalog != nil && name == "" {
		configured = x.gate.catalog.Models()
	}
	switch {
	case name != "":
	case len(x.caller.key.Models) == 1:
		name = x.caller.key.Models[0]
	case len(configured) == 1:
		name = configured[0].Name
	case x.gate.catalog == nil && len(x.caller.key.Models) == 0 && nameless(x.call.Route):
		return nil // the upstream serves what it serves
	default:
		return refuseBody(&dialect.RequestError{Param: "model", Message: `"model" is required`})
	}
	if x.gate.catalog != nil {
		model, ok := x.gate.catalog.Model(name)
		if !ok {
			return refuseUnknownModel(name)
		}
		x.model = model
	} else {
		x.model = Model{Name: name}
	}
	if !x.caller.mayUse(x.model.Name) {
		return refuseModel(name)
	}
	return nil
}

// chooseCap finds the upper bound of one answer in tokens.
func (x *exchange) chooseCap() *dialect.Refusal {
	switch x.call.Route.Operation {
	case dialect.Embeddings, dialect.OllamaEmbed:
		return nil
	}
	x.outputCap = x.call.OutputCap
	most := x.model.MaxOutputTokens
	switch {
	case x.outputCap == 0:
		x.outputCap, x.capByDefault = most, true
		if most == 0 {
			x.outputCap = DefaultMaxOutputTokens
		}
	case most == 0 || x.outputCap <= most:
	case x.call.Route.Translated():
		x.outputCap = most // released clients always send a number of their own
	default:
		return refuseBody(&dialect.RequestError{
			Param:   "max_tokens",
			Message: fmt.Sprintf("the model %q produces at most %d tokens, the call asks for %d", x.model.Name, most, x.outputCap),
		})
	}
	if x.outputCap > dialect.MaxOutputTokens/x.call.Answers {
		return refuseBody(&dialect.RequestError{
			Param:   "max_tokens",
			Message: fmt.Sprintf("%d answers of %d tokens are too many for one call", x.call.Answers, x.outputCap),
		})
	}
	return nil
}

// prepareBody puts the body into the form that goes to the upstream.
func (x *exchange) prepareBody() (err error) {
	if x.call.Route.Translated() {
		x.body, err = x.call.ToChat(x.received, x.model.upstream(), x.outputCap)
		return err
	}
	rewrite := dialect.Rewrite{IncludeUsage: true, ContinuousUsage: x.model.ContinuousUsage}
	if !nameless(x.call.Route) || x.call.Model != "" {
		rewrite.Model = x.model.upstream()
	}
	if x.gate.injectCap {
		rewrite.OutputCap = x.outputCap
	}
	rewrite.Memory = x.gate.bodies.take
	x.body = x.call.Apply(x.received, rewrite)
	x.rewritten = len(x.body) > 0 && &x.body[0] != &x.received[0]
	return nil
}
