package middleware_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
)

// bank is a gate in front of a handler, without a network: its clock is that of a
// synctest bubble, so that calls of minutes take no time.
type bank struct {
	t       testing.TB
	ledger  *ledger.Ledger
	limiter *limiter.Memory
	gate    http.Handler
	reports *reports
}

// inBank runs a test in a bubble.
func inBank(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, b *bank), options ...middleware.Option) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlitestore.Open(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		b := &bank{t: t, limiter: limiter.New(), reports: &reports{}}
		if b.ledger, err = ledger.Open(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		options = append([]middleware.Option{middleware.WithObserver(b.reports)}, options...)
		b.gate = middleware.New(b.ledger, b.limiter, options...)(handler)
		test(t, b)
		if err := b.limiter.Close(); err != nil {
			t.Error(err)
		}
		if err := b.ledger.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// account makes an account with that much credit and returns a key of it.
func (b *bank) account(name string, funds ledger.Micro) string {
	b.t.Helper()
	_, secret, err := b.ledger.CreateKey(b.t.Context(), ledger.NewKey{Name: name, Owner: name})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.ledger.TopUp(b.t.Context(), name, funds, name); err != nil {
		b.t.Fatal(err)
	}
	return secret.Reveal()
}

// report returns what the observer was told of a call.
func (b *bank) report(id string) middleware.Report {
	b.reports.mutex.Lock()
	defer b.reports.mutex.Unlock()
	for _, report := range b.reports.list {
		if report.RequestID == id {
			return report
		}
	}
	b.t.Errorf("no report of %q", id)
	return middleware.Report{}
}

// call sends one call and returns its answer.
func (b *bank) call(key, body string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	defer func() {
		if problem := recover(); problem != nil && problem != http.ErrAbortHandler {
			panic(problem)
		}
	}()
	b.gate.ServeHTTP(w, request)
	return w
}

// slow is a handler that takes a while for a whole reply.
func slow(takes time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(takes):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, chatReply)
		case <-r.Context().Done():
		}
	}
}

func TestSixtyShortCallsRunAtOnceOnWhatTheyCost(t *testing.T) {
	inBank(t, slow(3*time.Second), func(t *testing.T, b *bank) {
		if got := b.call(b.account("first", 4*ledger.Credit), plainBody); got.Code != 200 {
			t.Fatal(got.Body)
		}
		key := b.account("busy", 4*ledger.Credit)
		var running sync.WaitGroup
		for range 60 {
			running.Go(func() {
				if got := b.call(key, plainBody); got.Code != 200 {
					t.Error(got.Code, got.Body)
				}
			})
		}
		running.Wait()
		if account, _ := b.ledger.Account("busy"); account.Spent != 3*ledger.Credit || account.Held != 0 {
			t.Errorf("%+v", account)
		}
	})
}

func TestACustomerWithLessThanTheTimeLimitCostsCanCall(t *testing.T) {
	inBank(t, slow(time.Second), func(t *testing.T, b *bank) {
		key := b.account("small", 19*ledger.Credit/10)
		for range 100 {
			if got := b.call(key, plainBody); got.Code != 200 {
				t.Fatal(got.Code, got.Body)
			}
		}
	}, middleware.WithHoldTimeout(10*time.Minute))
}

func TestAWholeReplyHoldsMoreWhileItRuns(t *testing.T) {
	inBank(t, slow(100*time.Second), func(t *testing.T, b *bank) {
		key := b.account("patient", 2*ledger.Credit)
		done := make(chan *httptest.ResponseRecorder)
		go func() { done <- b.call(key, plainBody) }()
		for at := range 99 {
			time.Sleep(time.Second)
			account, _ := b.ledger.Account("patient")
			ran := ledger.Micro(at+1) * ledger.Credit / 60
			if account.Held < ran || account.Held > ran+ledger.Credit/5 {
				t.Errorf("%d s: %s held", at+1, account.Held)
			}
		}
		if got := <-done; got.Code != 200 {
			t.Error(got.Code, got.Body)
		}
	})
}

func TestWhatCannotGrowEndsTheCall(t *testing.T) {
	inBank(t, slow(time.Minute), func(t *testing.T, b *bank) {
		key := b.account("short", ledger.Credit/2)
		started := time.Now()
		got := b.call(key, plainBody)
		var body struct {
			Error struct{ Type, Code string }
		}
		if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil || got.Code != 402 || body.Error.Code != "insufficient_quota" {
			t.Error(got.Code, got.Body)
		}
		account, _ := b.ledger.Account("short")
		if ran := time.Since(started); ran > 30*time.Second || ran < 29950*time.Millisecond {
			t.Errorf("cut after %s", ran)
		}
		if report := b.reports.nth(t, 1); account.Spent > ledger.Credit/2 || account.Spent < ledger.Credit/2-1000 || account.Held != 0 || report.Charge.WriteOff != 0 {
			t.Errorf("%+v, %+v", account, report.Charge)
		}
	})
}

func TestTwoWordsHoldWhatTheyCost(t *testing.T) {
	var b *bank
	var held ledger.Micro
	handler := func(w http.ResponseWriter, r *http.Request) {
		account, _ := b.ledger.Account("words")
		held = account.Held
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, strings.NewReplacer(`"prompt_tokens":9`, `"prompt_tokens":20`, `"completion_tokens":3`, `"completion_tokens":10`).Replace(chatReply))
	}
	inBank(t, handler, func(t *testing.T, made *bank) {
		b = made
		if err := b.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Input: 1000 * ledger.Credit, Output: 1000 * ledger.Credit}); err != nil {
			t.Fatal(err)
		}
		key := b.account("words", ledger.Credit)
		for i, most := range []ledger.Micro{42_000, 34_000, 34_000} { // it costs 30,000
			if got := b.call(key, `{"model":"tiny","messages":[{"role":"user","content":"two words"}],"max_tokens":10}`); got.Code != 200 {
				t.Fatal(got.Code, got.Body)
			}
			if held < 30_000 || held > most {
				t.Errorf("call %d held %s", i+1, held)
			}
		}
	})
}
