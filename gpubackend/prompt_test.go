package gpubackend

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/cpu"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

// countingTokenizer counts how many long texts are read at once.
type countingTokenizer struct {
	engine.Tokenizer
	now, most *atomic.Int32
}

func (c countingTokenizer) count() func() {
	for now := c.now.Add(1); ; {
		most := c.most.Load()
		if now <= most || c.most.CompareAndSwap(most, now) {
			break
		}
	}
	time.Sleep(5 * time.Millisecond) // as a slow machine would take
	return func() { c.now.Add(-1) }
}

func (c countingTokenizer) Encode(text string, special bool) []int32 {
	defer c.count()()
	return c.Tokenizer.Encode(text, special)
}

func (c countingTokenizer) Chat(messages []engine.Message) ([]int32, error) {
	defer c.count()()
	return c.Tokenizer.Chat(messages)
}

// Reading a long text takes up to 300 times its size in memory, before any queue
// has a say: as many at once as there are callers would be too many.
func TestLongTextsAreReadAFewAtATime(t *testing.T) {
	config := testmodel.Tiny()
	config.Context = 8192
	file := testmodel.Open(config)
	words, err := tokenizer.FromGGUF(file)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := cpu.New(file, cpu.WithThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	counting := countingTokenizer{words, new(atomic.Int32), new(atomic.Int32)}
	_, front := start(t, WithEngine(runner, counting))
	long := strings.Repeat("token ", 9000) // 54 kB, and more tokens than the context has
	var callers sync.WaitGroup
	for i := range 6 * runtime.GOMAXPROCS(0) {
		path, body := "/v1/completions", `{"prompt":"`+long+`"}`
		if i%2 == 0 {
			path, body = "/infer", `{"prompt":"`+long+`"}`
		}
		callers.Go(func() {
			if reply, text := post(t, front, path, body); reply.StatusCode != http.StatusBadRequest || code(text) != "context_length_exceeded" {
				t.Errorf("%d %s", reply.StatusCode, text)
			}
		})
	}
	callers.Wait()
	if most := int(counting.most.Load()); most > runtime.GOMAXPROCS(0) {
		t.Errorf("%d texts were read at once on %d cores", most, runtime.GOMAXPROCS(0))
	}
}

func TestHugePromptOfOneWordIsRefusedUnread(t *testing.T) {
	_, front := start(t)
	reply, text := post(t, front, "/infer", `{"prompt":"`+strings.Repeat("a", 8<<20)+`"}`)
	if reply.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "has at least") {
		t.Errorf("%d %.300s", reply.StatusCode, text)
	}
}
