package middleware

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// deliver gives the client the end of the answer, now that the charge is
// durable, or tells it what went wrong.
func (x *exchange) deliver(r *reply, outcome ledger.Outcome, settlement ledger.Settlement, settleError error) {
	switch {
	case outcome == ledger.OutcomeClientGone:
		return
	case settleError != nil && !free(outcome, r):
		refusal := refuseUnavailable()
		refusal.Final = true // the work was done, a second try would do it again
		x.fail(r, refusal)
	case outcome == ledger.OutcomeOK:
		x.complete(r, settlement)
	case outcome == ledger.OutcomeUpstreamFailed && r.mode == modeStream && r.meter.Failed() && r.sent:
		r.write(r.kept) // the upstream has said itself what went wrong
		x.announceCharge(r)
	case r.mode == modeError && r.wrote && x.failure == nil && (outcome == ledger.OutcomeUpstreamFailed || outcome == ledger.OutcomeUpstreamRefused):
		x.passRefusal(r)
	default:
		x.fail(r, x.refuseEnding(r, outcome))
	}
}

// complete sends the rest of a whole answer.
func (x *exchange) complete(r *reply, settlement ledger.Settlement) {
	header := r.w.Header()
	switch r.mode {
	case modeStream, modeBody:
		r.send()
		r.write(r.kept)
		x.announceCharge(r)
		return
	case modeTranslated:
		credits, _ := strconv.ParseFloat(x.charge.Amount.String(), 64)
		r.kept = dialect.Answer{
			Text: r.text, InputTokens: settlement.Quantity.InputTokens, OutputTokens: settlement.Quantity.OutputTokens,
			RunSeconds: settlement.Quantity.Duration.Seconds(), CreditsCharged: credits, Model: x.model.Name,
		}.Body(x.call.Route.Kind)
		header.Set("Content-Type", "application/json")
	}
	r.sent, r.clientStatus = true, r.status
	if !r.bodiless {
		x.lengthValue[0] = strconv.Itoa(len(r.kept))
		header["Content-Length"] = x.lengthValue[:]
	}
	x.announceCharge(r)
	x.setLimitHeaders(header)
	r.w.WriteHeader(r.status)
	r.write(r.kept)
}

// announceCharge names the charge in a header, or in a trailer if the body has
// passed.
func (x *exchange) announceCharge(r *reply) {
	x.chargeValue[0] = x.charge.Amount.String()
	r.w.Header()[headerCharged] = x.chargeValue[:]
}

// refuseEnding says what the client is told of an ending that is no answer.
func (x *exchange) refuseEnding(r *reply, outcome ledger.Outcome) *dialect.Refusal {
	refusal := &dialect.Refusal{Reason: dialect.UpstreamFailed, Message: "the upstream failed"}
	switch outcome {
	case ledger.OutcomeDeadline:
		refusal.Reason, refusal.Message = dialect.UpstreamLate, "the call ran into its time limit"
	case ledger.OutcomeCreditExhausted:
		refusal.Reason, refusal.Message = dialect.NoCredit, "the credit ran out while the answer was produced"
	case ledger.OutcomeRevoked:
		refusal.Reason, refusal.Message = dialect.Unauthenticated, "the key was revoked while the answer was produced"
	default:
		switch {
		case errors.Is(r.readError, errNoChat):
			refusal.Message = errNoChat.Error()
		case errors.Is(r.readError, errOnlyError):
			if text := upstreamMessage(r.kept); text != "" {
				refusal.Message = text
			}
		case r.meter.Produced() || r.sent:
			refusal.Message = "the upstream failed before the answer was complete"
		case x.failureStatus == http.StatusServiceUnavailable:
			refusal.Reason, refusal.Code = dialect.Overloaded, "no_upstream"
			refusal.Message, refusal.RetryAfter = "no upstream is available", retryWhenUnavailable
		case x.failureStatus == http.StatusGatewayTimeout:
			refusal.Reason, refusal.Message = dialect.UpstreamLate, "the upstream did not answer in time"
		case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
			refusal.Code, refusal.Message = "upstream_credentials", "the upstream refused the gateway"
		}
	}
	// What was produced and charged must not be produced and charged again by a
	// client that tries by itself.
	refusal.Final = r.meter.Produced() || r.sent || x.charge.Amount > 0
	return refusal
}

// fail tells the client that there is no answer, or no end of it.
func (x *exchange) fail(r *reply, refusal *dialect.Refusal) {
	if !r.sent {
		r.sent, r.clientStatus = true, refusal.StatusFor(x.kind)
		header := r.w.Header()
		clearReplyHeaders(header)
		x.setLimitHeaders(header)
		if x.charge.Amount > 0 {
			x.announceCharge(r)
		}
		if err := refusal.Write(r.w, x.kind, x.requestID); err == nil {
			_ = r.flush() // an abort panic may follow
		}
		return
	}
	if r.mode != modeStream {
		return
	}
	if r.open {
		r.write([]byte("\n\n")) // the event must not become a part of a broken one
	}
	r.write(refusal.StreamError(x.kind, r.format, x.requestID))
	x.announceCharge(r)
	_ = r.flush()
}

// clearReplyHeaders takes away what belongs to a reply that is not sent.
func clearReplyHeaders(header http.Header) {
	for _, name := range []string{"Content-Length", "Content-Encoding", "Trailer", "Etag", "Last-Modified", "Location", "Retry-After", "Www-Authenticate"} {
		header.Del(name)
	}
}

// passRefusal passes on an upstream's error: as it is where the dialect's
// clients understand it, else in the dialect's shape.
func (x *exchange) passRefusal(r *reply) {
	header := r.w.Header()
	retry := header.Get("Retry-After")
	if r.redirects() {
		x.gate.logger.Error("the upstream redirects", "status", r.status, "upstream", x.upstream.Address)
		x.fail(r, x.refuseEnding(r, ledger.OutcomeUpstreamFailed))
		return
	}
	if r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
		x.gate.logger.Error("the upstream refused the gateway's credentials", "status", r.status, "upstream", x.upstream.Address)
		x.fail(r, x.refuseEnding(r, ledger.OutcomeUpstreamFailed))
		return
	}
	if !x.call.Route.Translated() && hasErrorObject(r.kept) {
		r.sent, r.clientStatus = true, r.status
		header["Content-Length"] = []string{strconv.Itoa(len(r.kept))}
		x.setLimitHeaders(header)
		r.w.WriteHeader(r.status)
		r.write(r.kept)
		return
	}
	refusal := refuseStatus(r.status)
	if text := upstreamMessage(r.kept); text != "" {
		refusal.Message = text
	}
	if seconds, err := strconv.Atoi(retry); err == nil && seconds > 0 && seconds < 1<<20 {
		refusal.RetryAfter = time.Duration(seconds) * time.Second
	}
	x.fail(r, refusal)
}

// refuseStatus finds the reason that fits an upstream's status.
func refuseStatus(status int) *dialect.Refusal {
	switch status {
	case http.StatusNotFound:
		return &dialect.Refusal{Reason: dialect.NotFound, Code: "upstream_refused", Message: "the upstream does not know this", Final: true}
	case http.StatusRequestEntityTooLarge:
		return &dialect.Refusal{Reason: dialect.TooLarge, Code: "upstream_refused", Message: "the call is too large for the upstream", Final: true}
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
	return &dialect.Refusal{Reason: dialect.BadRequest, Status: status, Code: "upstream_refused", Message: "the upstream refused the call"}
}

// hasErrorObject says that a body is JSON with an error object, which is what
// the OpenAI and Anthropic clients read.
func hasErrorObject(body []byte) bool {
	var shape struct {
		Error json.RawMessage `json:"error"`
	}
	return json.Unmarshal(body, &shape) == nil && len(shape.Error) > 0 && shape.Error[0] == '{'
}

// maxMessage bounds what is taken over of an upstream's message, in bytes.
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
