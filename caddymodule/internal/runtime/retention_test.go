package runtime

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pruned records what a retention asks for.
type pruned struct {
	before []time.Time
	err    error
}

func (p *pruned) Prune(_ context.Context, before time.Time) (int64, error) {
	p.before = append(p.before, before)
	return 0, p.err
}

func TestEntriesAreKeptAsLongAsTheConfigurationSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pruned{}
		r := startRetention(p, time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
		defer r.close()
		start := time.Now()
		time.Sleep(3*pruneEvery + time.Minute)
		synctest.Wait()
		if len(p.before) != 0 {
			t.Fatalf("pruned without being told: %v", p.before)
		}
		const day = 24 * time.Hour
		r.set(30 * day)
		r.set(30 * day) // a reload that changes nothing
		synctest.Wait()
		if len(p.before) != 1 || !p.before[0].Equal(start.Add(3*pruneEvery+time.Minute-30*day)) {
			t.Fatalf("pruned before %v", p.before)
		}
		time.Sleep(2 * pruneEvery)
		synctest.Wait()
		if len(p.before) != 3 {
			t.Errorf("pruned %d times", len(p.before))
		}
		r.set(0)
		synctest.Wait()
		time.Sleep(2 * pruneEvery)
		synctest.Wait()
		if len(p.before) != 3 {
			t.Errorf("pruned %d times, and nothing was to be", len(p.before))
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
