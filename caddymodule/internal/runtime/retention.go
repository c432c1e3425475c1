package runtime

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// pruneEvery is how often old entries are looked for. Whole days are removed, so that
// this decides how late after midnight they are.
const pruneEvery = time.Hour

// pruner removes entries of a ledger that are older than what is kept.
type pruner interface {
	Prune(ctx context.Context, before time.Time) (through int64, err error)
}

// retention prunes a ledger as the configuration in effect says.
type retention struct {
	keep    atomic.Int64 // nanoseconds; 0: everything
	changed chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}
}

// startRetention begins to prune once a configuration says how long entries are kept.
func startRetention(of pruner, now func() time.Time, log *slog.Logger) *retention {
	ctx, cancel := context.WithCancel(context.Background())
	r := &retention{changed: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ticker := time.NewTicker(pruneEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-r.changed:
			case <-ctx.Done():
				return
			}
			if keep := time.Duration(r.keep.Load()); keep > 0 {
				if _, err := of.Prune(ctx, now().Add(-keep)); err != nil && ctx.Err() == nil {
					log.Error("pruning the ledger", "error", err)
				}
			}
		}
	}()
	return r
}

// set says how long entries are kept; 0 keeps them all.
func (r *retention) set(keep time.Duration) {
	if r.keep.Swap(int64(keep)) == int64(keep) {
		return
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// close ends the pruning, also one that runs: the next start goes on with it.
func (r *retention) close() {
	r.cancel()
	<-r.done
}

// Interface guards
var _ pruner = (*ledger.Ledger)(nil)
