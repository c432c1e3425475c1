package runtime

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pruned records what a retention asks for.
type pruned struct {
	err    error
	mu     sync.Mutex
	before []time.Time
}

func (p *pruned) Prune(_ context.Context, before time.Time) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = append(p.before, before)
	return 0, p.err
}

func (p *pruned) asked() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.before)
}

func TestEntriesAreKeptAsLongAsTheConfigurationSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pruned{}
		r := startRetention(p, time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
		defer r.close()
		start := time.Now()
		time.Sleep(3*pruneEvery + time.Minute)
		synctest.Wait()
		if before := p.asked(); len(before) != 0 {
			t.Fatalf("pruned without being told: %v", before)
		}
		const day = 24 * time.Hour
		r.set(30 * day)
		r.set(30 * day) // a reload that changes nothing
		synctest.Wait()
		if before := p.asked(); len(before) != 1 || !before[0].Equal(start.Add(3*pruneEvery+time.Minute-30*day)) {
			t.Fatalf("pruned before %v", before)
		}
		time.Sleep(2 * pruneEvery)
		synctest.Wait()
		if len(p.asked()) != 3 {
			t.Errorf("pruned %d times", len(p.asked()))
		}
		r.set(0)
		synctest.Wait()
		time.Sleep(2 * pruneEvery)
		synctest.Wait()
		if len(p.asked()) != 3 {
			t.Errorf("pruned %d times, and nothing was to be", len(p.asked()))
		}
	})
}

func TestAFailureToPruneIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := startRetention(&pruned{err: errors.New("the disk is gone")}, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		r.set(time.Hour)
		synctest.Wait()
		r.close()
		if !strings.Contains(log.String(), "the disk is gone") {
			t.Errorf("log: %s", log.String())
		}
	})
}
