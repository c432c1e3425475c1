package storetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// business is a ledger in use, and what must be true of it whatever happens.
type business struct {
	*ledger.Ledger
	store  *opened
	mu     sync.Mutex
	now    time.Time
	key    ledger.Key
	secret ledger.Secret
	calls  int64
}

// clock returns a later moment each time.
func (b *business) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(time.Millisecond)
	return b.now
}

// found opens a ledger over an empty store and makes a key with credit.
func (s *subject) found() (*business, error) {
	store, err := s.fresh()
	if err != nil {
		return nil, err
	}
	b := &business{now: start, store: store}
	if err := b.open(); err != nil {
		return nil, err
	}
	if b.key, b.secret, err = b.CreateKey(s.ctx, ledger.NewKey{Name: "k", Owner: "acme"}); err != nil {
		return nil, err
	}
	_, err = b.TopUp(s.ctx, "acme", 1000*ledger.Credit, "first")
	return b, err
}

// open opens the ledger. It takes snapshots often, in the background.
func (b *business) open() (err error) {
	b.Ledger, err = ledger.Open(b.store.subject.ctx, b.store, ledger.WithClock(b.clock), ledger.WithSnapshotEvery(25))
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	return nil
}

// day runs calls, some at a time, and goes on to the next day.
func (b *business) day() error {
	const callers, each = 4, 10
	failed := make(chan error, callers)
	for range callers {
		go func() {
			var err error
			for i := 0; i < each && err == nil; i++ {
				err = b.call(i)
			}
			failed <- err
		}()
	}
	var problems []error
	for range callers {
		problems = append(problems, <-failed)
	}
	b.calls += callers * each
	b.mu.Lock()
	b.now = b.now.Add(24 * time.Hour)
	b.mu.Unlock()
	return errors.Join(problems...)
}

// call runs one call; one in ten is not charged.
func (b *business) call(number int) error {
	ctx := b.store.subject.ctx
	hold, err := b.Hold(ctx, ledger.HoldRequest{
		KeyID: b.key.ID, Model: []string{"tiny", "large"}[number%2], Worst: ledger.Quantity{Duration: time.Minute},
		RequestID: fmt.Sprint("request-", number),
	})
	if err != nil {
		return err
	}
	if number%10 == 9 {
		return b.Void(ctx, hold.ID, ledger.OutcomeUpstreamFailed)
	}
	used := ledger.Quantity{InputTokens: int64(number), OutputTokens: 5, Duration: 600 * time.Millisecond}
	_, err = b.Settle(ctx, hold.ID, ledger.Settlement{Quantity: used, Usage: ledger.UsageCounted})
	return err
}

// reopen closes the ledger, and with it the store, and opens both again.
func (b *business) reopen() error {
	ctx := b.store.subject.ctx
	if err := b.Close(ctx); err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	store, err := b.store.subject.open(b.store.directory)
	if err != nil {
		return err
	}
	b.store = store
	return b.open()
}

// end closes the ledger that is open, if any: the check has said what is wrong.
func (b *business) end() { _ = b.Close(context.WithoutCancel(b.store.subject.ctx)) }

// verify lets the ledger check its store.
func (b *business) verify() error {
	if _, err := ledger.Verify(b.store.subject.ctx, b.store); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}

// unchanged runs an action that must leave what customers see as it is.
func (b *business) unchanged(action func() error) error {
	ctx := b.store.subject.ctx
	account, _ := b.Account("acme")
	usage, err := b.Usage(ctx, ledger.UsageQuery{})
	if err == nil {
		err = action()
	}
	if err != nil {
		return err
	}
	if now, ok := b.Account("acme"); !ok || now != account || now.Spent == 0 {
		return fmt.Errorf("account was %+v, is %+v", account, now)
	}
	if now, err := b.Usage(ctx, ledger.UsageQuery{}); err != nil || !slices.Equal(now, usage) || len(usage) == 0 {
		return wrong(err, "usage was %+v, is %+v", usage, now)
	}
	if key, err := b.Authenticate(b.secret.Reveal()); err != nil || key.ID != b.key.ID {
		return wrong(err, "the key is not known")
	}
	return b.verify()
}

// prune removes all days but the last two.
func (b *business) prune() error {
	through, err := b.Prune(b.store.subject.ctx, b.clock().Add(-24*time.Hour))
	if err != nil {
		return err
	}
	first, err := b.store.Entries(b.store.subject.ctx, 0, 1)
	if err != nil || len(first) != 1 || first[0].Sequence != through+1 || through == 0 {
		return wrong(err, "pruned through entry %d: the first is %+v", through, first)
	}
	return nil
}

func ledgerOnTop(s *subject) error {
	b, err := s.found()
	if err != nil {
		return err
	}
	defer b.end()
	for range 3 {
		if err := errors.Join(b.day(), b.unchanged(b.reopen)); err != nil {
			return err
		}
	}
	if report, err := ledger.Verify(s.ctx, b.store); err != nil || report.Calls != b.calls || report.Snapshots == 0 {
		return wrong(err, "verify after %d calls: %+v", b.calls, report)
	}
	if err := errors.Join(b.unchanged(b.prune), b.unchanged(b.reopen), b.day(), b.unchanged(b.reopen)); err != nil {
		return fmt.Errorf("after pruning: %w", err)
	}
	return b.Close(s.ctx)
}

// rescued writes what a ledger has to new files. Store and ledger verify them.
func rescued(s *subject) error {
	b, err := s.found()
	if err != nil {
		return err
	}
	defer b.end()
	if err := errors.Join(b.day(), b.reopen(), b.day(), b.reopen(), b.prune()); err != nil {
		return err
	}
	head, err := b.Head(s.ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(s.t.TempDir(), "rescued.db")
	if report, err := b.store.Rescue(s.ctx, file); err != nil || report.Head != head || report.Last != head.Sequence {
		return wrong(err, "rescue of a log with head %v: %+v", head, report)
	}
	if _, err := b.store.Rescue(s.ctx, file); err == nil {
		return errors.New("rescue has written to a file that exists")
	}
	return begun(b, head)
}

// begun makes a log that starts from the newest baseline.
func begun(b *business, head ledger.Head) error {
	ctx := b.store.subject.ctx
	list, err := b.store.Snapshots(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(info ledger.SnapshotInfo) bool { return info.Baseline })
	if at < 0 {
		return errors.New("pruning has left no baseline")
	}
	baseline := ledger.Snapshot{Sequence: list[at].Sequence, Baseline: true}
	baseline.Encode = copyOf(ctx, b.store, baseline.Sequence)
	file := filepath.Join(b.store.subject.t.TempDir(), "begun.db")
	report, err := b.store.Begin(ctx, file, baseline)
	if err != nil || report.Head.Sequence != baseline.Sequence || report.Last != 0 || report.Accounts != 1 {
		return wrong(err, "begin at entry %d: %+v", baseline.Sequence, report)
	}
	if now, err := b.Head(ctx); err != nil || now != head {
		return wrong(err, "begin changed the head of the log in use from %v to %v", head, now)
	}
	return nil
}
