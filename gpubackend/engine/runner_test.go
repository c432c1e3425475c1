package engine

import (
	"errors"
	"hash/maphash"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// historyRunner is a model whose next token depends on every earlier token, read
// back out of the pages that the scheduler named: a lost, mixed or stale page
// changes the answer. Logits are a hash of the whole history.
type historyRunner struct {
	info  Info
	mu    sync.Mutex
	pages [][PageSize]int32
	// Hooks of a test; nil changes nothing. They run before and after the step computes.
	before func(*Batch) error
	after  func(*Batch)
	steps  int
	most   int // rows in the largest step
	busy   time.Duration
}

const (
	testVocabulary = 300
	testEnd        = 299 // the end token; ids below 256 are bytes
)

func newHistoryRunner(pages, context int) *historyRunner {
	return &historyRunner{
		info:  Info{Model: "history", Device: "test", Vocabulary: testVocabulary, Context: context, Embedding: 4},
		pages: make([][PageSize]int32, pages),
	}
}

func (r *historyRunner) Info() Info   { return r.info }
func (r *historyRunner) Close() error { return nil }
func (r *historyRunner) KV() KVInfo   { return KVInfo{Pages: len(r.pages), PageSize: PageSize} }

func (r *historyRunner) Forward(batch *Batch) (Timing, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before != nil {
		if err := r.before(batch); err != nil {
			return Timing{}, err
		}
	}
	for _, row := range batch.Rows {
		page := batch.Tables[row.Sequence][row.Position/PageSize]
		r.pages[page][row.Position%PageSize] = row.Token + row.Position*testVocabulary
	}
	for i, at := range batch.Logits {
		row := batch.Rows[at]
		history := make([]int32, 0, row.Position+1)
		for position := range row.Position + 1 {
			page := batch.Tables[row.Sequence][position/PageSize]
			// Keys are turned by their position: a page in another place is another page.
			history = append(history, r.pages[page][position%PageSize]-position*testVocabulary)
		}
		copy(batch.LogitsOut[i], historyLogits(history))
	}
	for i, at := range batch.Hidden {
		row := batch.Rows[at]
		copy(batch.HiddenOut[i], []float32{1, float32(row.Token), float32(row.Position), 2})
	}
	if r.after != nil {
		r.after(batch)
	}
	r.steps++
	r.most = max(r.most, len(batch.Rows))
	busy := time.Duration(len(batch.Rows)*997+13) * time.Nanosecond
	r.busy += busy
	return Timing{Busy: busy}, nil
}

var historySeed = maphash.MakeSeed()

// historyLogits is the model itself, without pages.
func historyLogits(history []int32) []float32 {
	sum := maphash.Comparable(historySeed, len(history))
	for _, token := range history {
		sum = maphash.Comparable(historySeed, [2]uint64{sum, uint64(token)})
	}
	logits := make([]float32, testVocabulary)
	for id := range logits {
		sum = sum*6364136223846793005 + 1442695040888963407
		logits[id] = float32(sum>>40) / (1 << 22)
	}
	return logits
}

// solo is the greedy answer of the model alone: the oracle.
func solo(prompt []int32, maxTokens int) []int32 {
	history := append([]int32(nil), prompt...)
	for range maxTokens {
		id := likeliest(historyLogits(history))
		history = append(history, id)
		if id == testEnd {
			break
		}
	}
	return history[len(prompt):]
}

// byteTokenizer has a token for each byte, and an end token.
type byteTokenizer struct{}

func (byteTokenizer) Encode(text string, _ bool) []int32 {
	var ids []int32
	for _, one := range []byte(text) {
		ids = append(ids, int32(one))
	}
	return ids
}

func (byteTokenizer) Piece(id int32) []byte {
	if id < 256 {
		return []byte{byte(id)}
	}
	return nil
}

func (byteTokenizer) Start() []int32 { return nil }

func (byteTokenizer) IsEnd(id int32) bool { return id == testEnd }

func (byteTokenizer) Chat([]Message) ([]int32, error) { return nil, errors.New("no template") }
