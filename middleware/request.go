package middleware

import (
	"fmt"
	"net/http"

	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/translate"
)

// request is what a caller asks for.
type request struct {
	id     string
	client string      // the client's own id of the request, cleaned, for logs only
	custom *customPath // set on a path that the operator named
	call   dialect.Call
	chat   *dialect.ChatCall // of a call of a dialect that no upstream speaks
	// translation is that of a call whose API the upstreams of its model lack.
	translation *translate.Call
	model       Model
	cap         outputCap
	body        body
}

// outputCap is the upper limit of one answer in tokens.
type outputCap struct {
	tokens    int64
	byDefault bool // the caller set none
}

// fixed says that each call that succeeds costs the same.
func (q *request) fixed() bool { return q.custom != nil && q.custom.fixed > 0 }

// read reads what the caller asks for.
func (q *request) read(g *Gate, from *caller, w http.ResponseWriter, r *http.Request) *dialect.Refusal {
	if q.custom != nil {
		return q.readCustom(g, from, r)
	}
	if refusal := q.body.read(w, r, g.maxBody); refusal != nil {
		return refusal
	}
	call, err := q.parse(g, r)
	if err != nil {
		return refuseBody(err)
	}
	q.call = call
	if refusal := q.chooseModel(g.catalog, from); refusal != nil {
		return refusal
	}
	q.inUnits()
	if refusal := q.chooseCap(); refusal != nil {
		return refusal
	}
	if q.call.Route.Translated() {
		q.chat, err = q.call.ToChat(q.body.received, q.model.upstream())
	} else if api := g.lacking(&q.call, q.model.Name); api != translate.None {
		q.translation, err = translate.Read(api, q.body.received, q.call.Stream)
	}
	if err != nil {
		return refuseBody(err)
	}
	return nil
}

// parse reads the body.
func (q *request) parse(g *Gate, r *http.Request) (dialect.Call, error) {
	if !q.call.Route.IsForm() {
		return g.reader.Read(q.call.Route, q.body.received)
	}
	contentType := ""
	if values := r.Header["Content-Type"]; len(values) == 1 {
		contentType = values[0]
	}
	return g.reader.ReadForm(q.call.Route, contentType, q.body.received)
}

// toChat says that the call goes to the upstream as a chat completion, and is none.
func (q *request) toChat() bool { return q.chat != nil || q.translation != nil }

// readCustom prepares a call whose body the gate does not read. Limits and
// prices know it by its path.
func (q *request) readCustom(g *Gate, from *caller, r *http.Request) *dialect.Refusal {
	q.model = Model{Name: g.pathOf(r)}
	q.call.Answers = 1
	if r.ContentLength > g.maxBody {
		return refuseLarge(g.maxBody)
	}
	if !from.mayUse(q.model.Name) {
		return refuseModel(q.model.Name)
	}
	return nil
}

// chooseModel finds the model that the call names, or the only one it can mean.
func (q *request) chooseModel(catalog Catalog, from *caller) *dialect.Refusal {
	name := q.call.Model
	if q.call.Route.Spec.ModelInPath {
		name = q.call.Route.Target
	}
	var configured []Model
	if catalog != nil && name == "" {
		configured = catalog.Models()
	}
	switch {
	case name != "":
	case len(from.key.Models) == 1:
		name = from.key.Models[0]
	case len(configured) == 1:
		name = configured[0].Name
	case catalog == nil && len(from.key.Models) == 0 && q.call.Route.Spec.ModelOptional:
		return nil // the upstream serves what it serves
	default:
		return refuseBody(&dialect.RequestError{Param: "model", Message: `"model" is required`})
	}
	model := Model{Name: name}
	if catalog != nil {
		var ok bool
		if model, ok = catalog.Model(name); !ok {
			return refuseUnknownModel(name)
		}
	}
	q.model = model
	if !from.mayUse(model.Name) {
		return refuseModel(name)
	}
	return nil
}

// chooseCap finds the upper limit of one answer in tokens.
func (q *request) chooseCap() *dialect.Refusal {
	if q.call.Route.Spec.NoOutput {
		return nil
	}
	tokens, maximum := q.call.OutputCap, q.model.MaxOutputTokens
	switch {
	case q.call.Route.Spec.Makes != dialect.MakesText || q.call.Route.IsForm(): // what is asked for bounds it
	case tokens == 0:
		tokens, q.cap.byDefault = maximum, true
		if maximum == 0 {
			tokens = DefaultMaxOutputTokens
		}
	case maximum == 0 || tokens <= maximum:
	case q.call.Route.Translated():
		tokens = maximum // released clients always send a number of their own
	default:
		return refuseBody(&dialect.RequestError{
			Param:   "max_tokens",
			Message: fmt.Sprintf("the model %q produces at most %d tokens, the call asks for %d", q.model.Name, maximum, tokens),
		})
	}
	if q.call.OutputFloor > tokens {
		return refuseBody(&dialect.RequestError{
			Param:   "max_tokens",
			Message: fmt.Sprintf("the call asks for at least %d tokens, and the cap of a call that sets none is %d: set one", q.call.OutputFloor, tokens),
		})
	}
	if tokens > dialect.MaxOutputTokens/q.call.Answers {
		return refuseBody(&dialect.RequestError{
			Param:   "max_tokens",
			Message: fmt.Sprintf("%d answers of %d tokens are too many for one call", q.call.Answers, tokens),
		})
	}
	q.cap.tokens = tokens
	return nil
}

// prepare makes the body that goes to the upstream, now that admission has set
// the cap. inject says whether the cap is written into a call that has none.
func (q *request) prepare(tokens int64, inject bool) {
	switch {
	case q.custom != nil:
		return
	case q.chat != nil:
		q.body.sent = q.chat.Body(tokens)
		return
	case q.call.Route.IsForm():
		pieces := q.call.FormPieces(q.body.received, q.model.upstream())
		q.body.sent, q.body.behind = pieces[0], pieces[1:]
		return
	case q.translation != nil:
		if q.cap.byDefault && !inject {
			tokens = 0
		}
		q.body.sent = q.translation.Body(q.model.upstream(), tokens, q.model.ContinuousUsage)
		return
	}
	rewrite := dialect.Rewrite{
		IncludeUsage: true, ContinuousUsage: q.model.ContinuousUsage, Memory: q.body.pool.take,
	}
	if !q.call.Route.Spec.ModelOptional || q.call.Model != "" {
		rewrite.Model = q.model.upstream()
	}
	if inject {
		rewrite.OutputCap = tokens
	}
	q.body.sent = q.call.Apply(q.body.received, rewrite)
}

// prompt returns the part of the upstream's body that holds the prompt, nil once
// the call is over.
func (q *request) prompt() []byte {
	q.body.mutex.Lock()
	defer q.body.mutex.Unlock()
	if q.toChat() {
		return q.body.sent
	}
	return q.call.Prompt(q.body.received)
}

// lacking returns the API of a call if the upstreams of its model lack it.
func (g *Gate) lacking(call *dialect.Call, model string) translate.APIs {
	if g.lacks == nil {
		return translate.None
	}
	api := translate.Named(call.Route.Class())
	if api == translate.None {
		return api
	}
	return api & g.lacks(model)
}
