package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Two sites, or a configuration and the one that replaces it, have a handler each.
func TestHandlersThatShareNamesGiveEachNameOnce(t *testing.T) {
	names := NewNames()
	s := newServer(t, WithNames(names))
	slow := slowLists{s.ledger}
	sites := []*Handler{New(slow, s.limiter, WithNames(names)), New(slow, s.limiter, WithNames(names))}
	statuses := make([]int, len(sites))
	var calls sync.WaitGroup
	for i, site := range sites {
		calls.Go(func() { statuses[i] = serve(site, "POST", "/sdk/api-keys", s.admin, `{"name":"twin"}`) })
	}
	calls.Wait()
	if statuses[0]+statuses[1] != 201+422 {
		t.Errorf("the statuses are %v, want one 201 and one 422", statuses)
	}
	keys, _, err := s.ledger.ListKeys(ledger.KeyQuery{Name: "twin"})
	if err != nil || len(keys) != 1 {
		t.Errorf("%d keys have the name, %v", len(keys), err)
	}
}

// serve asks a handler without a listener and returns the status.
func serve(handler http.Handler, method, path, key, body string) int {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+key)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code
}

// slowLists leaves time between the look at the names and the new key.
type slowLists struct{ *ledger.Ledger }

func (l slowLists) ListKeys(query ledger.KeyQuery) ([]ledger.Key, string, error) {
	keys, next, err := l.Ledger.ListKeys(query)
	time.Sleep(50 * time.Millisecond)
	return keys, next, err
}
