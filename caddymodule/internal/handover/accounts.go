// Package handover connects a process that has handed its ledger over with the one that has
// taken it over: the calls that still run in the first are settled in the second.
package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Path is the path of the request for the ledger. Below it are those for running calls.
const Path = "/handover"

const (
	// giving bounds how long the process that has the ledger may take to give it.
	giving = 15 * time.Second
	// askPatience is how long calls wait, all together, for the process that has the ledger
	// now, which may be about to start, or to be started again.
	askPatience = 10 * time.Second
	// checkpointPatience is the same for a checkpoint, after which another one comes.
	checkpointPatience = time.Second
)

// Dial connects to the process that has the ledger now.
type Dial func(ctx context.Context) (net.Conn, error)

// Accounts is the ledger as gates use it. Once it is handed over, the calls that still run
// are settled by the process that has it. It is safe for concurrent use.
type Accounts struct {
	*ledger.Ledger
	Logger *slog.Logger
	next   atomic.Pointer[successor] // nil until the ledger is handed over
}

// successor asks the process that has taken the ledger over.
type successor struct {
	client *http.Client
	silent atomic.Int64 // since when it does not answer, in nanoseconds since 1970; 0: it does
}

func newSuccessor(dial Dial) *successor {
	return &successor{client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}}
}

// Follow says which process has the ledger, or is about to have it. Holds that the ledger
// here can no longer resolve are resolved there. Without one (nil) they stay.
func (a *Accounts) Follow(dial Dial) {
	if dial == nil {
		a.next.Store(nil)
		return
	}
	a.next.Store(newSuccessor(dial))
}

// question is what is asked of a call's hold.
type question struct {
	Hold       ledger.HoldID
	Settlement ledger.Settlement
	Quantity   ledger.Quantity
}

// reply is the answer to a question. Error is one of errorWords, or credit; empty if it
// succeeded.
type reply struct {
	Charge  ledger.Charge
	Hold    ledger.Hold
	Error   string
	Message string
	Credit  *ledger.CreditError
}

// errorWords are the errors of the ledger that tell a gate what to do.
var errorWords = map[string]error{
	"resolved": ledger.ErrResolved, "unknown": ledger.ErrUnknownHold,
	"invalid": ledger.ErrInvalid, "unavailable": ledger.ErrUnavailable,
}

// fail puts an error into a reply.
func (r *reply) fail(err error) {
	if err == nil {
		return
	}
	r.Error, r.Message = "unavailable", err.Error()
	for word, known := range errorWords {
		if errors.Is(err, known) {
			r.Error = word
		}
	}
	if errors.As(err, &r.Credit) {
		r.Error = "credit"
	}
}

// err returns the error of a reply.
func (r *reply) err() error {
	switch {
	case r.Credit != nil:
		return r.Credit
	case errorWords[r.Error] != nil:
		return fmt.Errorf("%w: %s", errorWords[r.Error], r.Message)
	}
	return nil
}

// ask asks until there is an answer, or the time is over. Asking twice does no harm: a hold
// is resolved once.
func (s *successor) ask(ctx context.Context, what string, asked question) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	for {
		answer, err := s.try(ctx, what, asked)
		if err == nil && answer.Error != "unavailable" {
			s.silent.Store(0)
			return answer, answer.err()
		}
		if !s.silentFor(askPatience) {
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		return reply{}, fmt.Errorf("%w: the process that has taken over: %w", ledger.ErrUnavailable, errors.Join(err, answer.err()))
	}
}

// silentFor notes that there is no answer, and says whether there has been none for a time.
func (s *successor) silentFor(patience time.Duration) bool {
	now := time.Now().UnixNano()
	s.silent.CompareAndSwap(0, now)
	return time.Duration(now-s.silent.Load()) >= patience
}

// try asks once.
func (s *successor) try(ctx context.Context, what string, asked question) (answer reply, err error) {
	return answer, s.post(ctx, Path+"/"+what, asked, &answer)
}

// post sends a value and reads another one.
func (s *successor) post(ctx context.Context, path string, sent, received any) error {
	body, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ledger"+path, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return json.NewDecoder(response.Body).Decode(received)
}

// elsewhere returns who resolves a hold that the ledger here has not, nil if nobody does.
func (a *Accounts) elsewhere(err error) *successor {
	if !errors.Is(err, ledger.ErrUnavailable) {
		return nil
	}
	return a.next.Load()
}

// Settle implements middleware.Ledger.
func (a *Accounts) Settle(ctx context.Context, id ledger.HoldID, settlement ledger.Settlement) (ledger.Charge, error) {
	charge, err := a.Ledger.Settle(ctx, id, settlement)
	if next := a.elsewhere(err); next != nil {
		answer, err := next.ask(ctx, "settle", question{Hold: id, Settlement: settlement})
		return answer.Charge, err
	}
	return charge, err
}

// Void implements middleware.Ledger.
func (a *Accounts) Void(ctx context.Context, id ledger.HoldID, outcome ledger.Outcome) error {
	err := a.Ledger.Void(ctx, id, outcome)
	if next := a.elsewhere(err); next != nil {
		_, err = next.ask(ctx, "void", question{Hold: id, Settlement: ledger.Settlement{Outcome: outcome}})
	}
	return err
}

// Extend implements middleware.Ledger.
func (a *Accounts) Extend(ctx context.Context, id ledger.HoldID, covered ledger.Quantity) (ledger.Hold, error) {
	hold, err := a.Ledger.Extend(ctx, id, covered)
	if next := a.elsewhere(err); next != nil {
		answer, err := next.ask(ctx, "extend", question{Hold: id, Quantity: covered})
		return answer.Hold, err
	}
	return hold, err
}

// Checkpoint implements middleware.Ledger. It does not wait, so nobody learns whether the
// other process has recorded it.
func (a *Accounts) Checkpoint(id ledger.HoldID, soFar ledger.Quantity) error {
	err := a.Ledger.Checkpoint(id, soFar)
	next := a.elsewhere(err)
	if next == nil {
		return err
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), checkpointPatience)
		defer cancel()
		if _, err := next.ask(ctx, "checkpoint", question{Hold: id, Quantity: soFar}); err != nil {
			a.Logger.Debug("checkpoint not recorded", "error", err)
		}
	}()
	return nil
}

// ServeHTTP resolves holds for the process that has handed the ledger over, at paths below
// Path.
func (a *Accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked question
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var answer reply
	var err error
	switch strings.TrimPrefix(r.URL.Path, Path+"/") {
	case "settle":
		answer.Charge, err = a.Settle(r.Context(), asked.Hold, asked.Settlement)
	case "void":
		err = a.Void(r.Context(), asked.Hold, asked.Settlement.Outcome)
	case "checkpoint":
		err = a.Checkpoint(asked.Hold, asked.Quantity)
	case "extend":
		answer.Hold, err = a.Extend(r.Context(), asked.Hold, asked.Quantity)
	default:
		http.NotFound(w, r)
		return
	}
	answer.fail(err)
	Answer(w, answer, a.Logger)
}

// Answer sends a value to another process.
func Answer(w http.ResponseWriter, value any, logger *slog.Logger) {
	if err := json.NewEncoder(w).Encode(value); err != nil {
		logger.Error("another process is not answered", "error", err)
	}
}

// Request asks the process that has the ledger to hand it over, and returns its running
// calls.
func Request(ctx context.Context, dial Dial) (running []ledger.Running, err error) {
	ctx, cancel := context.WithTimeout(ctx, giving)
	defer cancel()
	asked := newSuccessor(dial)
	defer asked.client.CloseIdleConnections()
	return running, asked.post(ctx, Path, nil, &running)
}
