package middleware

import (
	"context"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/dialect"
)

const (
	// bytesPerToken relates the bytes of a prompt to its tokens for the estimate
	// that limits reserve. Settlement replaces it by the true figure.
	bytesPerToken = 4
	// templateTokens is what a chat template adds around the messages.
	templateTokens = 64
	// defaultStreamHold is the time that the hold of a stream covers at first; it
	// grows while the stream runs, so that a long time limit needs no large balance.
	defaultStreamHold = time.Minute
)

// estimate returns what the call reserves of its limits and the upper bound of
// what it may consume. Byte-level tokenizers never make more tokens than bytes.
func (x *exchange) estimate() (limiter.Tokens, ledger.Quantity) {
	if x.custom != nil {
		worst := x.custom.worst
		worst.Duration = x.gate.holdTimeout
		return limiter.Tokens{Input: worst.InputTokens, Output: worst.OutputTokens}, worst
	}
	output := x.outputCap * x.call.Answers
	worst := ledger.Quantity{
		InputTokens:  x.call.TextBytes + x.call.MediaTokens + templateTokens,
		OutputTokens: output,
		Duration:     x.gate.holdTimeout,
	}
	if x.call.Stream {
		worst.Duration = min(worst.Duration, x.gate.streamHold)
	}
	reserve := limiter.Tokens{Input: worst.InputTokens, Output: output}
	if !x.gate.strict {
		reserve.Input = (x.call.TextBytes+bytesPerToken-1)/bytesPerToken + x.call.MediaTokens
	}
	return reserve, worst
}

// admit asks for everything that the call needs: all of its limits and its
// credit. A refusal changes nothing.
func (x *exchange) admit(ctx context.Context) *dialect.Refusal {
	x.deadline = x.gate.now().Add(x.gate.holdTimeout)
	if refusal := x.reserve(ctx); refusal != nil {
		return refusal
	}
	hold, err := x.gate.ledger.Hold(ctx, ledger.HoldRequest{
		KeyID: x.caller.key.ID, Model: x.model.Name, Worst: x.worst, Deadline: x.deadline,
		Stream: x.call.Stream, RequestID: x.requestID,
	})
	if err == nil {
		x.hold = hold
		return nil
	}
	if undo := x.gate.limiter.Cancel(context.WithoutCancel(ctx), x.decision.Handle); undo != nil {
		x.gate.logger.Error("reservation not taken back", "request_id", x.requestID, "error", undo)
	}
	refusal := refuseHold(err)
	if refusal.Reason == dialect.Overloaded {
		x.gate.logger.Error("no hold", "request_id", x.requestID, "error", err)
	}
	x.decision = limiter.Decision{}
	return refusal
}

// reserve asks the limiter. A cap that is the gate's own default must not lock a
// small key out forever: it shrinks to what fits.
func (x *exchange) reserve(ctx context.Context) *dialect.Refusal {
	rows := x.caller.key.LimitsFor(x.rows[:0], x.model.Name)
	for range 4 { // a call can meet two token limits of the key and two of the model
		x.reserved, x.worst = x.estimate()
		decision, err := x.gate.limiter.Reserve(ctx, limiter.Request{
			Key: x.caller.key.ID, Model: x.model.Name, Tokens: x.reserved, Rows: rows, Timeout: x.gate.holdTimeout,
		})
		if err != nil {
			x.gate.logger.Error("limits not checked", "request_id", x.requestID, "error", err)
			return refuseUnavailable()
		}
		x.decision = decision
		if decision.Admitted {
			return nil
		}
		if !x.shrinkCap(&decision.Refusal) {
			break
		}
	}
	return refuseLimit(x.decision.Refusal)
}

// shrinkCap lowers a cap that nobody asked for so far that the call can fit, and
// says whether it can.
func (x *exchange) shrinkCap(refused *limiter.Refusal) bool {
	tokens := refused.Rule == limits.TPM || refused.Rule == limits.TPD
	if !refused.Never || !tokens || !x.capByDefault || !x.gate.injectCap || refused.TokenType == limits.Input {
		return false
	}
	excess := refused.Needed - refused.Limit
	lower := x.outputCap - (excess+x.call.Answers-1)/x.call.Answers
	if lower < 1 {
		return false
	}
	x.outputCap = lower
	return x.prepareBody() == nil
}
