package middleware

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// refuse answers a call that reaches no upstream. It does not wait for the call's body.
func (x *exchange) refuse(w http.ResponseWriter, r *http.Request, refusal *dialect.Refusal) {
	answerEarly(w, r)
	x.sendRefusal(w, r, refusal)
	if x.gate.respond == nil {
		linger(w, r)
	}
}

// sendRefusal sends a refusal, or has it sent, and reports it.
func (x *exchange) sendRefusal(w http.ResponseWriter, r *http.Request, refusal *dialect.Refusal) {
	status := refusal.StatusFor(x.headers.dialect)
	x.headers.setLimits(w.Header())
	refused := Refused{
		Refusal: *refusal, Dialect: x.headers.dialect, Status: status, RequestID: x.request.id,
		ClientRequestID: x.request.client, KeyID: x.caller.key.ID,
	}
	if x.gate.refused != nil {
		x.gate.refused(r, refused)
	}
	if x.gate.respond != nil {
		refusal.SetHeaders(w.Header(), x.headers.dialect)
		x.gate.respond(w, r, refused)
	} else if err := refusal.Write(w, x.headers.dialect, x.request.id); err != nil {
		x.gate.logger.Debug("refusal not sent", "request_id", x.request.id, "error", err)
	}
	if x.gate.observer == nil {
		return
	}
	report := x.report()
	report.Refused, report.Status, report.Reason = true, status, refusal.CodeText()
	if refusal.Bound != nil {
		report.Rule, report.Needed = refusal.Bound.Rule, refusal.Bound.Needed
	}
	x.gate.observer.Observe(report)
}

// answer gives the client the end of the answer, now that the charge is durable,
// or says what went wrong.
func (x *exchange) answer(seen *evidence, end *ending) {
	r, outcome := &x.reply, end.outcome
	switch {
	case outcome == ledger.OutcomeClientGone:
		return
	case end.settleError != nil && !end.free:
		refusal := refuseUnavailable()
		refusal.Final = true // the work was done, a second try would do it again
		x.fail(end, refusal)
	case outcome == ledger.OutcomeOK:
		x.complete(end)
	case outcome == ledger.OutcomeUpstreamFailed && seen.reply.stream && seen.reply.errorEvent && r.sent && r.stream == nil && x.mayQuote(seen):
		r.write(r.kept) // the upstream's own error event
		x.headers.setCharge(r.Header(), end.charge.Amount)
	case r.mode == modeError && r.wrote && seen.facts.failure == nil && seen.reply.readError == nil &&
		(outcome == ledger.OutcomeUpstreamFailed || outcome == ledger.OutcomeUpstreamRefused):
		x.passRefusal(seen, end)
	default:
		x.fail(end, x.refuseEnding(seen, end))
	}
}

// complete sends the rest of a whole answer.
func (x *exchange) complete(end *ending) {
	r := &x.reply
	switch r.mode {
	case modeStream, modeBody:
		r.send()
		r.write(r.kept)
		x.headers.setCharge(r.Header(), end.charge.Amount)
		return
	case modeWhole:
		r.kept = r.renamed(r.kept)
	case modeTranslated:
		if x.request.translation != nil {
			break // it was translated before the charge was known
		}
		quantity := &end.settlement.Quantity
		r.kept = dialect.Answer{
			Text: r.text, InputTokens: quantity.InputTokens, OutputTokens: quantity.OutputTokens,
			RunSeconds: quantity.Duration.Seconds(), CreditsCharged: json.Number(end.charge.Amount.String()),
			Model: x.request.model.Name,
		}.Body(x.request.call.Route.Spec)
		r.Header().Set("Content-Type", "application/json")
	}
	if !r.bodiless {
		x.headers.setLength(r.Header(), len(r.kept))
	}
	x.headers.setCharge(r.Header(), end.charge.Amount)
	r.sendKept()
}

// refuseEnding returns the error for an ending without a whole answer.
func (x *exchange) refuseEnding(seen *evidence, end *ending) *dialect.Refusal {
	refusal := &dialect.Refusal{Reason: dialect.UpstreamFailed, Message: "the upstream failed"}
	switch end.outcome {
	case ledger.OutcomeDeadline:
		refusal.Reason, refusal.Message = dialect.UpstreamLate, "the call ran into its time limit"
	case ledger.OutcomeCreditExhausted:
		refusal.Reason, refusal.Message = dialect.NoCredit, "the credit ran out while the answer was produced"
	case ledger.OutcomeRevoked:
		refusal.Reason, refusal.Message = dialect.Unauthenticated, "the key was revoked while the answer was produced"
	default:
		x.explainFailure(seen, refusal)
	}
	// What was produced and charged must not be produced and charged again because the
	// client retries automatically.
	refusal.Final = seen.reply.produced || x.reply.sent || end.charge.Amount > 0
	return refusal
}

// explainFailure adds to a refusal what is known of the upstream's failure.
func (x *exchange) explainFailure(seen *evidence, refusal *dialect.Refusal) {
	reply := &seen.reply
	switch {
	case isAny(reply.readError, errNoChat, errNoReply, errOpaque, errStatus):
		refusal.Message = reply.readError.Error()
	case errors.Is(reply.readError, errOnlyError):
		if text := upstreamMessage(x.reply.kept); text != "" && x.mayQuote(seen) {
			refusal.Message = text
		}
	case errors.Is(seen.facts.failure, errOverCap):
		refusal.Code = "output_cap_exceeded"
		refusal.Message = fmt.Sprintf("the upstream did not stop at the %d tokens that it was asked for", seen.most.OutputTokens)
	case x.reply.stream != nil && x.reply.stream.Failure() != nil && upstreamMessage(x.reply.kept) != "" && x.mayQuote(seen):
		refusal.Message = upstreamMessage(x.reply.kept)
	case reply.produced || x.reply.sent:
		refusal.Message = "the upstream failed before the answer was complete"
	case seen.facts.failureStatus == http.StatusServiceUnavailable:
		refusal.Reason, refusal.Code = dialect.Overloaded, "no_upstream"
		refusal.Message, refusal.RetryAfter = "no upstream is available", retryWhenUnavailable
	case seen.facts.failureStatus == http.StatusGatewayTimeout:
		refusal.Reason, refusal.Message = dialect.UpstreamLate, "the upstream did not answer in time"
	case refusesGateway(reply.status):
		refusal.Code, refusal.Message = "upstream_credentials", "the upstream refused the gateway"
	}
}

// isAny says that an error is one of some others.
func isAny(err error, others ...error) bool {
	return slices.ContainsFunc(others, func(other error) bool { return errors.Is(err, other) })
}

// fail sends the client an error: in place of the answer, or at the end of a stream that
// cannot be completed.
func (x *exchange) fail(end *ending, refusal *dialect.Refusal) {
	r, name := &x.reply, x.headers.dialect
	if !r.sent {
		r.sent, r.clientStatus = true, refusal.StatusFor(name)
		clearReplyHeaders(r.Header())
		x.headers.setLimits(r.Header())
		if end.charge.Amount > 0 {
			x.headers.setCharge(r.Header(), end.charge.Amount)
		}
		if err := refusal.Write(r.w, name, x.request.id); err == nil {
			_ = r.flush() // an abort panic may follow
		}
		return
	}
	if r.mode != modeStream {
		return
	}
	if r.open {
		r.write([]byte("\n\n")) // so that the event does not become part of a broken one
	}
	r.write(refusal.StreamError(name, r.format, x.request.id))
	x.headers.setCharge(r.Header(), end.charge.Amount)
	_ = r.flush()
}

// clearReplyHeaders removes the headers of a reply that is not sent.
func clearReplyHeaders(header http.Header) {
	for _, name := range []string{
		"Content-Length", "Content-Encoding", "Trailer", "Etag", "Last-Modified", "Location", "Retry-After", "Retry-After-Ms", "X-Should-Retry",
		"Www-Authenticate",
	} {
		header.Del(name)
	}
}

// passRefusal passes on an upstream's error: as it is where the dialect's
// clients understand it, else in the dialect's shape.
func (x *exchange) passRefusal(seen *evidence, end *ending) {
	r, status := &x.reply, seen.reply.status
	refusal := refuseStatus(status)
	refusal.RetryAfter = seen.reply.retryAfter
	switch {
	case seen.reply.redirects:
		x.gate.logger.Error("the upstream redirects", "status", status, "upstream", seen.facts.upstream.Address)
		x.fail(end, x.refuseEnding(seen, end))
		return
	case refusesGateway(status):
		x.gate.logger.Error("the upstream refused the gateway's credentials or account",
			"status", status, "upstream", seen.facts.upstream.Address)
		x.fail(end, x.refuseEnding(seen, end))
		return
	case x.foreign(status, seen.facts.upstream.Kind):
		x.fail(end, refuseForeign(seen.facts.upstream.Kind, x.request.call.Route.Spec))
		return
	case !x.mayQuote(seen):
		x.fail(end, refusal)
		return
	case !x.request.toChat() && x.headers.dialect.HasCommonErrors() && hasErrorObject(r.kept):
		r.Header()["Content-Length"] = []string{strconv.Itoa(len(r.kept))}
		if refusal.RetryAfter > 0 {
			refusal.SetHeaders(r.Header(), x.headers.dialect)
		}
		r.sendKept()
		return
	}
	if text := upstreamMessage(r.kept); text != "" {
		refusal.Message = text
	}
	x.fail(end, refusal)
}

// mayQuote says whether the client may read what an upstream says of an error. The text of
// a failure may tell of the upstream's insides, so it is quoted only from one that the
// operator trusts. What is wrong with the call itself always is.
func (x *exchange) mayQuote(seen *evidence) bool {
	if seen.facts.upstream.Trusted || seen.facts.usage != nil ||
		seen.reply.status >= 400 && seen.reply.status < 500 || blamesCaller(x.reply.kept) {
		return true
	}
	if text := upstreamMessage(x.reply.kept); text != "" {
		x.gate.logger.Debug("the text of an upstream's failure is not passed on: it is not trusted",
			"request_id", x.request.id, "upstream", seen.facts.upstream.Address, "text", ledger.MaskKeys(text))
	}
	return false
}

// blamesCaller says that an error that comes with the status of success, as an event of a
// stream or as a body, means that something is wrong with the call.
func blamesCaller(kept []byte) bool {
	for line := range bytes.Lines(kept) {
		var shape struct {
			Error struct {
				Code json.RawMessage `json:"code"`
				Type string          `json:"type"`
			} `json:"error"`
			Class string `json:"error_type"` // of TGI, whose error is a text
		}
		line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("data:"))
		if err := json.Unmarshal(line, &shape); err != nil && shape.Class == "" {
			continue
		}
		code, _ := strconv.Atoi(string(shape.Error.Code))
		if code >= 400 && code < 500 || shape.Error.Type == "invalid_request_error" ||
			shape.Error.Type == "BadRequestError" || shape.Class == "validation" {
			return true
		}
	}
	return false
}

// refuseStatus returns the error that fits an upstream's status.
func refuseStatus(status int) *dialect.Refusal {
	switch status {
	case http.StatusNotFound:
		return &dialect.Refusal{
			Reason: dialect.NotFound, Code: "upstream_refused",
			Message: "the upstream does not know this", Final: true,
		}
	case http.StatusRequestEntityTooLarge:
		return &dialect.Refusal{
			Reason: dialect.TooLarge, Code: "upstream_refused",
			Message: "the call is too large for the upstream", Final: true,
		}
	case http.StatusTooManyRequests:
		return &dialect.Refusal{Reason: dialect.Limited, Code: "upstream_busy", Message: "the upstream is busy"}
	case http.StatusServiceUnavailable:
		return &dialect.Refusal{Reason: dialect.Overloaded, Code: "upstream_busy", Message: "the upstream is busy"}
	case http.StatusGatewayTimeout:
		return &dialect.Refusal{Reason: dialect.UpstreamLate, Message: "the upstream did not answer in time"}
	}
	if status >= 500 {
		return &dialect.Refusal{Reason: dialect.UpstreamFailed, Status: status, Message: "the upstream failed"}
	}
	return &dialect.Refusal{
		Reason: dialect.BadRequest, Status: status, Code: "upstream_refused",
		Message: "the upstream refused the call",
	}
}

// hasErrorObject says that a body is JSON with an error object, which is what
// the OpenAI and Anthropic clients read.
func hasErrorObject(body []byte) bool {
	var shape struct {
		Error json.RawMessage `json:"error"`
	}
	return json.Unmarshal(body, &shape) == nil && len(shape.Error) > 0 && shape.Error[0] == '{'
}

// maxMessage limits what is quoted of an upstream's message, in bytes.
const maxMessage = 500

// upstreamMessage finds the message in the error bodies that servers send.
func upstreamMessage(body []byte) string {
	var shape struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	text := ""
	if err := json.Unmarshal(body, &shape); err == nil || !errors.As(err, new(*json.SyntaxError)) {
		var nested struct {
			Message string `json:"message"`
		}
		switch {
		case json.Unmarshal(shape.Error, &nested) == nil && nested.Message != "":
			text = nested.Message
		case json.Unmarshal(shape.Error, &text) == nil && text != "":
		case shape.Message != "":
			text = shape.Message
		default:
			_ = json.Unmarshal(shape.Detail, &text)
		}
	} else if len(body) < maxMessage && !bytes.ContainsAny(body, "<>") && utf8.Valid(body) {
		text = strings.TrimSpace(string(body))
	}
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "")
	}
	return text
}
