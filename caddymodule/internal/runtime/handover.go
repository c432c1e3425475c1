package runtime

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	goruntime "runtime"
	"time"

	"github.com/penstockhq/penstock/caddymodule/internal/handover"
	"github.com/penstockhq/penstock/ledger"
)

const (
	// takeOverPatience is how long a process waits for a ledger that it takes over.
	takeOverPatience = 30 * time.Second
	// leavePatience is how long a process that has handed its ledger over waits until the
	// other one listens.
	leavePatience = 10 * time.Second
	// blindPatience is the same where the system cannot say who listens.
	blindPatience = time.Second
)

// ErrHandedOver is for calls that reach a process after it has handed its ledger over.
var ErrHandedOver = errors.New("another process has taken over")

// serveHandOver answers other processes at the socket.
func (e *Engine) serveHandOver(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == handover.Path {
		e.serveRequestToHandOver(w, r)
		return
	}
	e.Accounts.ServeHTTP(w, r)
}

// serveRequestToHandOver gives the ledger to the process that asks for it.
func (e *Engine) serveRequestToHandOver(w http.ResponseWriter, r *http.Request) {
	log := LastingLog("penstock")
	if handover.Leave == nil {
		http.Error(w, "this system cannot end a process by a signal", http.StatusNotImplemented)
		return
	}
	running, listens, err := e.handOver(r.Context())
	if err != nil {
		log.Error("handing the ledger over", "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	log.Info("handed the ledger over to another process; this one ends once its calls have", "running_calls", len(running))
	handover.Answer(w, running, log)
	go func() {
		waitForListener(listens)
		handover.Leave()
	}()
}

// handOver closes the ledger, saves the counters, and returns the calls that still run and
// where this process listens.
func (e *Engine) handOver(ctx context.Context) ([]ledger.Running, []netip.AddrPort, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handedOver.Load() {
		return nil, nil, ErrHandedOver
	}
	e.handedOver.Store(true) // before the ledger refuses calls
	e.retention.close()
	e.Accounts.Follow(e.dial)
	running, err := e.Ledger.HandOver(ctx)
	if err != nil {
		e.Accounts.Follow(nil)
		return nil, nil, err
	}
	if err := errors.Join(e.Limiter.Close(), e.saveCounters()); err != nil {
		LastingLog("penstock").Error("the limits of the next process begin with what the ledger knows", "error", err)
	}
	e.Alerts.Close()
	// The other process makes a socket of its own. The connection that asks stays open.
	if err := os.Remove(e.socket.path); err != nil {
		LastingLog("penstock").Debug("socket not removed", "error", err)
	}
	var listens []netip.AddrPort
	if e.current != nil {
		listens = e.current.Listens
	}
	return running, listens, nil
}

// dial connects to the process that has the ledger.
func (e *Engine) dial(ctx context.Context) (net.Conn, error) { return Dial(ctx, e.store.Folder()) }

// HandedOver says that another process has the ledger. Calls that begin are for that one.
func (e *Engine) HandedOver() bool { return e.handedOver.Load() }

// TookOver says that another process has handed the ledger over to this one.
func (e *Engine) TookOver() bool { return e.tookOver }

// waitForListener waits until another process listens at the same addresses, so that no
// connection is refused. It gives up at some time.
func waitForListener(addresses []netip.AddrPort) {
	patience := leavePatience
	if goruntime.GOOS != "linux" {
		patience = blindPatience
	}
	for start := time.Now(); len(addresses) > 0 && time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
		if shared, err := Shared(addresses); err != nil || len(shared) == len(addresses) {
			return
		}
	}
}

// takeStore opens the store, for which it waits. With the setting TakeOver it asks the
// process that has it to hand it over, and returns that one's running calls.
func (e *Engine) takeStore(ctx context.Context, log *slog.Logger) (ledger.Store, []ledger.Running, error) {
	patience := lockPatience
	if e.Settings.TakeOver {
		patience = takeOverPatience
	}
	var running []ledger.Running
	asks := e.Settings.TakeOver
	store, err := e.store.Open(ctx)
	start, told := time.Now(), time.Time{}
	for errors.Is(err, ledger.ErrLocked) && time.Since(start) < patience {
		if asks {
			var problem error
			if running, problem = handover.Request(ctx, e.dial); problem == nil {
				asks, e.tookOver = false, true
				log.Info("took the ledger over from the process that had it", "running_calls", len(running))
			} else if time.Since(told) > 5*time.Second {
				told = time.Now()
				log.Warn("waiting for the process that has the ledger open; it does not hand it over", "error", problem)
			}
		}
		if store, err = e.store.Open(ctx); err != nil {
			time.Sleep(20 * time.Millisecond)
		}
	}
	return store, running, err
}
