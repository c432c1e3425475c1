package runtime

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockhq/penstock/caddymodule/internal/handover"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// place is a Store in a directory.
type place string

func (p place) Identity() string { return "sqlite:" + string(p) }
func (p place) Folder() string   { return filepath.Dir(sqlitestore.FilePath(string(p))) }
func (p place) Open(ctx context.Context) (ledger.Store, error) {
	return sqlitestore.Open(ctx, string(p))
}

// process opens the engine that a process of its own would have.
func process(t *testing.T, where place, takeOver bool) (*Engine, error) {
	t.Helper()
	e := &Engine{
		store: where, Metrics: newMetrics(), Throttle: admin.NewThrottle(),
		Runs: middleware.NewRuns(middleware.DefaultMaxRuns), Forecast: forecast.New(),
	}
	t.Cleanup(func() {
		if err := e.Destruct(); err != nil {
			t.Error(err)
		}
	})
	return e, e.Open(Settings{Zone: time.UTC, TakeOver: takeOver}, slog.New(slog.DiscardHandler))
}

// mute replaces the end of this process, and returns how often it was asked for.
func mute(t *testing.T) chan struct{} {
	t.Helper()
	asked, before := make(chan struct{}, 9), handover.Leave
	handover.Leave = func() { asked <- struct{}{} }
	t.Cleanup(func() { handover.Leave = before })
	return asked
}

func TestCallsOfTheOldProcessAreSettledInTheNewOne(t *testing.T) {
	left := mute(t)
	where := place(t.TempDir())
	old, err := process(t, where, true)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := old.Ledger.CreateKey(t.Context(), ledger.NewKey{Name: "k", Owner: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Ledger.TopUp(t.Context(), "acme", 10*ledger.Credit, "first"); err != nil {
		t.Fatal(err)
	}
	row := limits.Binding{Row: limits.Row{RPM: 9}}
	decision, err := old.Limiter.Reserve(t.Context(), limiter.Request{Key: key.ID, Rows: []limits.Binding{row}, Timeout: time.Minute})
	if err != nil || !decision.Admitted {
		t.Fatal(decision, err)
	}
	hold := func(e *Engine) ledger.HoldID {
		t.Helper()
		hold, err := e.Accounts.Hold(t.Context(), ledger.HoldRequest{
			KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{Duration: time.Minute}, Deadline: time.Now().Add(time.Minute), Stream: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		return hold.ID
	}
	first, second, third := hold(old), hold(old), hold(old)
	next, err := process(t, where, true)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Fatal("the old process does not end")
	}
	if !old.HandedOver() || !next.TookOver() || next.HandedOver() {
		t.Error("the two processes do not know who has the ledger")
	}
	if account, _ := next.Ledger.Account("acme"); account.Held != 3*ledger.Credit {
		t.Errorf("the new process begins with %+v", account)
	}
	if _, err := old.Accounts.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny"}); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("the old process admits a call: %v", err)
	}
	if _, err := old.Accounts.Extend(t.Context(), first, ledger.Quantity{Duration: 2 * time.Minute}); err != nil {
		t.Error(err)
	}
	var credit *ledger.CreditError
	if _, err := old.Accounts.Extend(t.Context(), first, ledger.Quantity{Duration: time.Hour}); !errors.As(err, &credit) || credit.Needed != 60*ledger.Credit {
		t.Errorf("a hold grows beyond the balance: %v", err)
	}
	if err := old.Accounts.Checkpoint(second, ledger.Quantity{Duration: 30 * time.Second}); err != nil {
		t.Error(err)
	}
	minute := ledger.Settlement{Quantity: ledger.Quantity{Duration: time.Minute}}
	charge, err := old.Accounts.Settle(t.Context(), first, minute)
	if err != nil || charge.Amount != ledger.Credit {
		t.Errorf("%+v, %v", charge, err)
	}
	if _, err := old.Accounts.Settle(t.Context(), first, minute); !errors.Is(err, ledger.ErrResolved) {
		t.Errorf("settled twice: %v", err)
	}
	if err := old.Accounts.Void(t.Context(), second, ledger.OutcomeUpstreamFailed); err != nil {
		t.Error(err)
	}
	// The ledger is handed on: a call of the first process ends in the third.
	last, err := process(t, where, true)
	if err != nil {
		t.Fatal(err)
	}
	if charge, err = old.Accounts.Settle(t.Context(), third, minute); err != nil || charge.Amount != ledger.Credit {
		t.Errorf("%+v, %v", charge, err)
	}
	if account, _ := last.Ledger.Account("acme"); account.Held != 0 || account.Spent != 2*ledger.Credit {
		t.Errorf("the account ends as %+v", account)
	}
	state, err := last.Limiter.Inspect(t.Context(), limiter.Request{Key: key.ID, Rows: []limits.Binding{row}})
	if err != nil || len(state.Scopes) == 0 || state.Scopes[0].Window.Requests != 1 {
		t.Errorf("the counters did not pass on: %+v, %v", state, err)
	}
}

func TestALedgerIsTakenOverOnlyIfThatIsAskedFor(t *testing.T) {
	mute(t)
	where := place(t.TempDir())
	old, err := process(t, where, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := process(t, where, false); !errors.Is(err, ledger.ErrLocked) || old.HandedOver() {
		t.Errorf("a second process: %v, handed over: %t", err, old.HandedOver())
	}
	for _, path := range []string{"", "/settle", "/nothing"} {
		request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://ledger"+handover.Path+path, http.NoBody)
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, where.Folder()) }}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		transport.CloseIdleConnections()
		if response.StatusCode != http.StatusMethodNotAllowed || old.HandedOver() {
			t.Errorf("GET %s: %d", path, response.StatusCode)
		}
	}
}
