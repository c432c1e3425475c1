package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

const (
	// countTimeout is how long an upstream may take to count a prompt. Clients wait for
	// the count before each turn.
	countTimeout = 10 * time.Second
	// maxCount limits the answer that holds a count, in bytes.
	maxCount = 64 << 10
)

// countTokens answers how many tokens a prompt has. It costs no credit and no tokens,
// but it is a request. The upstream counts if it can; else the gate says what prompts of
// this size and model are likely to have.
func (x *exchange) countTokens(w http.ResponseWriter, r *http.Request, next http.Handler) {
	refusal := x.request.read(x.gate, &x.caller, w, r)
	if refusal == nil {
		refusal = x.admission.admitQuestion(r.Context(), x.gate, &x.caller, &x.request)
	}
	if refusal != nil {
		x.refuse(w, r, refusal)
		return
	}
	defer func() { x.settleLimits(x.gate.settling.next(), limiter.Tokens{}) }()
	counted := x.askUpstream(r, next)
	x.headers.setLimits(w.Header())
	switch {
	case counted.status == http.StatusOK && holdsCount(counted.body.Bytes()):
		x.tell(w, json.RawMessage(counted.body.Bytes()))
	case counted.status == http.StatusBadRequest || counted.status == http.StatusRequestEntityTooLarge || counted.status == http.StatusUnprocessableEntity:
		refusal := refuseStatus(counted.status)
		if text := upstreamMessage(counted.body.Bytes()); text != "" {
			refusal.Message = text
		}
		x.refuse(w, r, refusal)
	default:
		demand := x.gate.demand(&x.request)
		demand.Strict = false // a client plans with it
		likely := x.gate.forecast.Likely(&demand)
		x.tell(w, struct {
			InputTokens int64 `json:"input_tokens"`
		}{likely.InputTokens})
	}
}

// askUpstream asks the next handler for the count. It returns nothing in time where the
// handler has no such path, cannot be reached or breaks off.
func (x *exchange) askUpstream(r *http.Request, next http.Handler) (answer *recorder) {
	ctx, cancel := context.WithTimeout(r.Context(), min(countTimeout, x.gate.holdTimeout))
	defer cancel()
	x.context = callContext{Context: ctx, x: x}
	x.request.prepare(0, false)
	answer = &recorder{header: http.Header{}, limit: maxCount}
	returned := false
	defer func() { // an upstream that breaks off has not counted
		if problem := recover(); problem != nil {
			if err, ok := problem.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(problem)
			}
		}
	}()
	defer func() {
		seen := evidence{returned: returned, clientGone: r.Context().Err() != nil, facts: x.feedback.facts()}
		seen.reply.wrote, seen.reply.status = answer.status > 0, answer.status
		seen.reply.retryAfter = retryAfter(answer.header, x.gate.now())
		seen.tellUpstream()
		release(seen.facts.upstream.Observer, 0)
		if !returned || seen.facts.failure != nil {
			answer.status = 0
		}
	}()
	next.ServeHTTP(answer, x.upstreamRequest(r.WithContext(&x.context), answer))
	returned = true
	return answer
}

// holdsCount says that an answer says how many tokens a prompt has.
func holdsCount(body []byte) bool {
	var count struct {
		InputTokens *int64 `json:"input_tokens"`
	}
	return json.Unmarshal(body, &count) == nil && count.InputTokens != nil && *count.InputTokens >= 0
}

// admitQuestion asks for room for a request that costs neither tokens nor credit.
func (a *admission) admitQuestion(ctx context.Context, g *Gate, from *caller, q *request) *dialect.Refusal {
	a.deadline = g.now().Add(g.holdTimeout)
	return a.ask(ctx, g, from, q, limiter.Tokens{}, 0)
}
