package admin

import (
	"context"
	"fmt"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// BenchmarkAPageOfAHundredThousandKeys lists pages at the end of a long list,
// through a filter that matches nothing (the whole list is searched), and, as
// baseline, the one page of a list that holds nothing else. ms/page is what a
// caller waits in the handler.
func BenchmarkAPageOfAHundredThousandKeys(b *testing.B) {
	long, short := newServer(b), newServer(b)
	last := long.fill(b, 100_000)
	short.fill(b, 100)
	base := float64(0)
	for _, c := range []struct {
		name, path string
		server     *server
	}{
		{"baseline 100 keys", "/admin/v1/keys?limit=100", short},
		{"first page", "/admin/v1/keys?limit=100", long},
		{"last page", "/admin/v1/keys?limit=100&after=" + last, long},
		{"largest page", "/admin/v1/keys?limit=1000", long},
		{"one owner of a thousand", "/admin/v1/keys?owner=owner-7&limit=100", long},
		{"no match", "/admin/v1/keys?name=nobody", long},
	} {
		b.Run(c.name, func(b *testing.B) {
			start := time.Now()
			for b.Loop() {
				request := httptest.NewRequest("GET", c.path, nil)
				request.Header.Set("Authorization", "Bearer "+c.server.Admin)
				recorder := httptest.NewRecorder()
				c.server.handler.ServeHTTP(recorder, request)
				if recorder.Code != 200 {
					b.Fatal(recorder.Body)
				}
			}
			page := float64(time.Since(start).Microseconds()) / 1000 / float64(b.N)
			if base == 0 {
				base = page
			}
			b.ReportMetric(page, "ms/page")
			b.ReportMetric(page/base, "x-baseline")
		})
	}
}

// fill makes keys of a thousand owners, many at a time so that they share
// commits, and returns the id of the last but a hundred.
func (s *server) fill(b *testing.B, count int) string {
	b.Helper()
	work := make(chan int)
	var workers sync.WaitGroup
	for range 64 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range work {
				_, _, err := s.Ledger.CreateKey(context.Background(), ledger.NewKey{
					Name: fmt.Sprintf("key %d", i), Owner: fmt.Sprintf("owner-%d", i%1000), Models: []string{"tiny"},
					Limits: []limits.Row{{RPM: 60, TPM: 30000}}, HasBudget: true, Budget: ledger.Credit,
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range count {
		work <- i
	}
	close(work)
	workers.Wait()
	ids, after := []string{}, ""
	for {
		keys, next, err := s.Ledger.ListKeys(ledger.KeyQuery{After: after, Limit: rest.MaxPage})
		if err != nil {
			b.Fatal(err)
		}
		for i := range keys {
			ids = append(ids, keys[i].ID)
		}
		if after = next; next == "" {
			return ids[max(0, len(ids)-101)]
		}
	}
}
