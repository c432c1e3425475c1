package middleware_test

import (
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// script is what one call of the simulation asks for, and what its upstream does.
type script struct {
	number  int
	owner   int
	stream  bool
	cap     int64 // named by the caller, 0: none
	text    int   // bytes of the prompt
	pause   time.Duration
	takes   time.Duration // before each piece, or before a whole reply
	pieces  int64         // of one token, sent by a stream
	input   int64         // reported
	output  int64         // reported
	reports bool
	trusted bool
}

// simulation is a bank with an upstream that follows scripts, and an oracle that
// watches both. The oracle shares no arithmetic with the ledger and the gate.
type simulation struct {
	price   ledger.Price
	scripts []script
	mutex   sync.Mutex
	begun   map[int]time.Time // running calls, by number
	passed  map[int]int64     // pieces that the gate took of streams
	ran     map[int]time.Duration
}

// cost is the price of a quantity as schoolbooks have it: a sum of fractions, rounded
// up once.
func (s *simulation) cost(ran time.Duration, input, output int64) ledger.Micro {
	part := func(amount ledger.Micro, quantity, unit int64) *big.Rat {
		return new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(int64(amount)), big.NewInt(quantity)), big.NewInt(unit))
	}
	sum := part(s.price.Minute, ran.Microseconds(), 60_000_000)
	sum.Add(sum, part(s.price.Input, input, 1_000_000))
	sum.Add(sum, part(s.price.Output, output, 1_000_000))
	up := new(big.Int).Add(sum.Num(), new(big.Int).Sub(sum.Denom(), big.NewInt(1)))
	return ledger.Micro(up.Div(up, sum.Denom()).Int64())
}

func (c *script) body() string {
	capped := ""
	if c.cap > 0 {
		capped = fmt.Sprintf(`,"max_tokens":%d`, c.cap)
	}
	return fmt.Sprintf(`{"model":"tiny","stream":%t%s,"messages":[{"role":"user","content":%q}]}`, c.stream, capped, strings.Repeat("word ", c.text/5))
}

// serve is the upstream.
func (s *simulation) serve(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.Header.Get("X-Script"))
	c := &s.scripts[number]
	middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "up", Trusted: c.trusted})
	s.mutex.Lock()
	started := time.Now()
	s.begun[number] = started
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		s.ran[number] = time.Since(started)
		delete(s.begun, number)
		s.mutex.Unlock()
	}()
	usage := ""
	if c.reports {
		usage = fmt.Sprintf(`,"usage":{"prompt_tokens":%d,"completion_tokens":%d}`, c.input, c.output)
	}
	if !c.stream {
		if wait(r, c.takes) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"word"},"finish_reason":"stop"}]%s}`, usage)
		}
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for range c.pieces {
		if !wait(r, c.takes) {
			return
		}
		if _, err := io.WriteString(w, wordEvent); err != nil {
			return
		}
		s.mutex.Lock()
		s.passed[number]++
		s.mutex.Unlock()
	}
	fmt.Fprintf(w, "%sdata: {\"choices\":[]%s}\n\n%s", finishEvent, usage, doneEvent)
}

// wait is false if the call ended first.
func wait(r *http.Request, pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-r.Context().Done():
		return false
	}
}

// write returns a random script.
func write(random *rand.Rand, number, owners int) script {
	c := script{
		number: number, owner: random.IntN(owners), stream: random.IntN(2) == 0, text: random.IntN(2000),
		pause: time.Duration(random.IntN(20_000)) * time.Millisecond,
		takes: time.Duration(random.IntN(30_000)) * time.Millisecond, reports: random.IntN(4) > 0, trusted: random.IntN(3) == 0,
	}
	if random.IntN(2) == 0 {
		c.cap = 1 + random.Int64N(200)
	}
	c.pieces = random.Int64N(300)
	c.input, c.output = int64(c.text/4), c.pieces
	if c.stream {
		c.takes /= 100
	} else {
		c.output = random.Int64N(300)
	}
	if random.IntN(3) == 0 { // a lie, or images
		c.input, c.output = c.input*random.Int64N(20), c.output*random.Int64N(20)
	}
	return c
}

// watch checks between two events that no running call has consumed more than is
// held for it. What a whole reply has produced nobody knows before its end, and
// the true size of a prompt neither.
func (s *simulation) watch(t *testing.T, b *bank, owners int, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-time.After(97*time.Millisecond + 13*time.Microsecond):
		}
		consumed := make([]ledger.Micro, owners)
		s.mutex.Lock()
		for number, started := range s.begun {
			c := &s.scripts[number]
			output := s.passed[number]
			if most := c.most(); !c.trusted {
				output = min(output, most)
			}
			consumed[c.owner] += s.cost(time.Since(started), 0, output)
		}
		s.mutex.Unlock()
		for owner, consumed := range consumed {
			account, _ := b.ledger.Account(fmt.Sprint("owner", owner))
			if account.Held < consumed || account.Available < 0 {
				t.Errorf("account %d holds %s for calls that have consumed %s: %+v", owner, account.Held, consumed, account)
			}
		}
	}
}

// most is the output that the call may have by what it asked for.
func (c *script) most() int64 {
	if c.cap > 0 {
		return c.cap
	}
	return middleware.DefaultMaxOutputTokens
}

// check compares what a call was charged with what the oracle says it consumed.
func (s *simulation) check(t *testing.T, c *script, report *middleware.Report) {
	charge := report.Charge
	total := charge.Amount + charge.WriteOff
	input, output := c.input, c.output
	switch {
	case report.Outcome == ledger.OutcomeOK && c.reports && c.trusted:
	case report.Outcome == ledger.OutcomeOK && c.reports:
		input, output = min(input, int64(len(c.body()))+64), min(output, c.most())
	case report.Outcome == ledger.OutcomeOK, report.Outcome == ledger.OutcomeUpstreamFailed:
		if input, output = int64(len(c.body())+3)/4, c.most(); c.stream {
			output = min(s.passed[c.number], c.most())
		}
	case report.Outcome == ledger.OutcomeCreditExhausted:
		if most := s.cost(s.ran[c.number], int64(len(c.body())+3)/4, s.passed[c.number]+1); total > most {
			t.Errorf("cut call %+v was charged %s for %s", *c, total, most)
		}
		return
	default:
		t.Errorf("call %+v ended as %s", *c, report.Outcome)
	}
	if want := s.cost(s.ran[c.number], input, output); total != want {
		t.Errorf("call %+v costs %s, charged %s and written off %s", *c, want, charge.Amount, charge.WriteOff)
	}
	if charge.WriteOff > 0 && charge.Balance > 0 {
		t.Errorf("call %+v: %s written off with a balance of %s", *c, charge.WriteOff, charge.Balance)
	}
}

func (s *simulation) run(t *testing.T, b *bank, random *rand.Rand) (exhausted, writtenOff int) {
	if err := b.ledger.SetPrice(t.Context(), "tiny", s.price); err != nil {
		t.Fatal(err)
	}
	const owners = 4
	keys, funds := make([]string, owners), make([]ledger.Micro, owners)
	for owner := range keys {
		funds[owner] = 1 + ledger.Micro(random.Int64N(int64(3*ledger.Credit)))
		keys[owner] = b.account(fmt.Sprint("owner", owner), funds[owner])
	}
	for number := range 120 {
		s.scripts = append(s.scripts, write(random, number, owners))
	}
	over := make(chan struct{})
	go s.watch(t, b, owners, over)
	reports := make([]middleware.Report, len(s.scripts))
	var running sync.WaitGroup
	for i := range s.scripts {
		c := &s.scripts[i]
		running.Go(func() {
			time.Sleep(c.pause)
			got := b.call(keys[c.owner], c.body(), "X-Script", strconv.Itoa(i))
			reports[i] = b.report(got.Header().Get("X-Request-Id"))
		})
	}
	running.Wait()
	close(over)
	spent := make([]ledger.Micro, owners)
	for i := range s.scripts {
		if reports[i].Refused {
			continue
		}
		s.check(t, &s.scripts[i], &reports[i])
		spent[s.scripts[i].owner] += reports[i].Charge.Amount
		if reports[i].Outcome == ledger.OutcomeCreditExhausted {
			exhausted++
		}
		if reports[i].Charge.WriteOff > 0 {
			writtenOff++
		}
	}
	for owner := range keys {
		account, _ := b.ledger.Account(fmt.Sprint("owner", owner))
		if account.Held != 0 || account.Available < 0 || account.Available+account.Spent != funds[owner] || account.Spent != spent[owner] {
			t.Errorf("account %d had %s and was charged %s: %+v", owner, funds[owner], spent[owner], account)
		}
	}
	return exhausted, writtenOff
}

// TestNoCallConsumesMoreThanIsHeldForIt runs calls of all kinds at once on accounts
// with too little credit. PENSTOCK_OVERSPEND_RUNS sets how often.
func TestNoCallConsumesMoreThanIsHeldForIt(t *testing.T) {
	runs := 12
	if text := os.Getenv("PENSTOCK_OVERSPEND_RUNS"); text != "" {
		runs, _ = strconv.Atoi(text)
	}
	prices := []ledger.Price{
		{Minute: ledger.Credit},
		{Input: 300 * ledger.Credit, Output: 900 * ledger.Credit},
		{Minute: ledger.Credit / 3, Input: 100 * ledger.Credit, Output: 3000*ledger.Credit + 7},
	}
	var exhausted, writtenOff int
	for seed := range uint64(runs) {
		s := &simulation{price: prices[seed%3], begun: map[int]time.Time{}, passed: map[int]int64{}, ran: map[int]time.Duration{}}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBank(t, s.serve, func(t *testing.T, b *bank) {
				cut, lost := s.run(t, b, rand.New(rand.NewPCG(seed, 0)))
				exhausted, writtenOff = exhausted+cut, writtenOff+lost
			})
		})
	}
	if exhausted < runs || writtenOff == 0 {
		t.Errorf("%d calls ran out of credit, %d were written off in part: too few to test anything", exhausted, writtenOff)
	}
}
