package handover

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// at connects to a socket in a folder.
func at(folder string) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(folder, "s"))
	}
}

// accounts opens a ledger of its own.
func accounts(t *testing.T) *Accounts {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return &Accounts{Ledger: l, Logger: slog.New(slog.DiscardHandler)}
}

func TestWithoutAnotherProcessTheLedgerHereAnswers(t *testing.T) {
	a := accounts(t)
	if _, err := a.Settle(t.Context(), 1<<40, ledger.Settlement{}); !errors.Is(err, ledger.ErrUnknownHold) {
		t.Error(err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Settle(t.Context(), 1<<40, ledger.Settlement{}); !errors.Is(err, ledger.ErrUnknownHold) {
		t.Error(err)
	}
}

func TestTheEndOfACallWaitsForAProcessThatStartsAgain(t *testing.T) {
	folder := t.TempDir()
	next := newSuccessor(at(folder))
	t.Cleanup(next.client.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := next.ask(ctx, "settle", question{Hold: 1}); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("nobody answers: %v", err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := next.ask(t.Context(), "settle", question{Hold: 1 << 40})
		answered <- err
	}()
	time.Sleep(100 * time.Millisecond)
	listener, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: accounts(t), ReadHeaderTimeout: time.Second}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	if err := <-answered; !errors.Is(err, ledger.ErrUnknownHold) {
		t.Errorf("the process that started answers %v", err)
	}
	if next.silent.Load() != 0 {
		t.Error("a process that answers counts as silent")
	}
	// One that has been silent for long is asked once, so that many calls do not wait in turn.
	server.Close()
	next.silent.Store(time.Now().Add(-askPatience).UnixNano())
	began := time.Now()
	if _, err := next.ask(t.Context(), "void", question{Hold: 1}); !errors.Is(err, ledger.ErrUnavailable) || time.Since(began) > askPatience/2 {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestErrorsPassBetweenProcesses(t *testing.T) {
	for _, want := range []error{ledger.ErrResolved, ledger.ErrUnknownHold, ledger.ErrInvalid, ledger.ErrUnavailable, nil} {
		var r reply
		r.fail(want)
		if got := r.err(); !errors.Is(got, want) {
			t.Errorf("%v becomes %v", want, got)
		}
	}
	var r reply
	r.fail(&ledger.CreditError{Needed: 7})
	var credit *ledger.CreditError
	if err := r.err(); !errors.As(err, &credit) || credit.Needed != 7 {
		t.Errorf("a lack of credit becomes %v", err)
	}
}
