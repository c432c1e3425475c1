package cpu

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// altered returns a file with other metadata, without the tensors that drop
// names, and with the shapes that reshape gives.
func altered(t testing.TB, config testmodel.Config, metadata map[string]any, change func(*gguf.Tensor) bool) *gguf.File {
	t.Helper()
	source := testmodel.Open(config)
	w := gguf.NewWriter()
	set := func(key string, value any, err error) {
		if replacement, ok := metadata[key]; ok {
			value, err = replacement, nil
		}
		if err == nil && value != nil {
			err = w.Set(key, value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range source.Keys() {
		if strings.HasPrefix(key, "tokenizer.") {
			continue // the engine does not read those
		}
		if number, err := source.Int(key); err == nil {
			set(key, number, nil)
		} else if float, err := source.Float(key); err == nil {
			set(key, float, nil)
		} else {
			text, err := source.Text(key)
			set(key, text, err)
		}
	}
	for key, value := range metadata {
		if !strings.Contains(fmt.Sprint(source.Keys()), key) {
			set(key, value, nil)
		}
	}
	for _, tensor := range source.Tensors() {
		if change != nil && !change(&tensor) {
			continue
		}
		if err := w.Add(tensor.Name, tensor.Type, tensor.Shape, tensor.Data); err != nil {
			t.Fatal(err)
		}
	}
	file, err := gguf.Parse(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUnusableModelsAreRefusedWithTheFieldAndTheValue(t *testing.T) {
	tiny := testmodel.Tiny()
	for want, metadata := range map[string]map[string]any{
		`architecture "gemma" is not supported`:                              {"general.architecture": "gemma"},
		`"general.architecture": missing`:                                    {"general.architecture": nil},
		`"llama.block_count": missing in the file`:                           {"llama.block_count": nil},
		`"llama.block_count": 0 is not in 1 to`:                              {"llama.block_count": uint32(0)},
		`"llama.block_count": 1000000000 is not in`:                          {"llama.block_count": uint32(1e9)},
		`tensor "blk.2.attn_q.weight": missing`:                              {"llama.block_count": uint32(3)},
		`"llama.embedding_length": -5 is not in`:                             {"llama.embedding_length": int32(-5)},
		`"llama.embedding_length": is string, want a whole number`:           {"llama.embedding_length": "64"},
		`"token_embd.weight": shape [64 455], want [128, vocabulary]`:        {"llama.embedding_length": uint32(128)},
		`"llama.attention.head_count": 0 is not in`:                          {"llama.attention.head_count": uint32(0)},
		`"llama.attention.head_count_kv": 3 does not divide the 4 heads`:     {"llama.attention.head_count_kv": uint32(3)},
		`"llama.attention.value_length": 8 differs from the key length 16`:   {"llama.attention.value_length": uint32(8)},
		`"llama.rope.dimension_count": 7 is odd`:                             {"llama.rope.dimension_count": uint32(7)},
		`"llama.rope.dimension_count": 18 is not in 0 to 16`:                 {"llama.rope.dimension_count": uint32(18)},
		`"llama.rope.freq_base": NaN is not in`:                              {"llama.rope.freq_base": math.NaN()},
		`"llama.rope.scaling.type": "longrope" is not supported`:             {"llama.rope.scaling.type": "longrope"},
		`"llama.attention.layer_norm_rms_epsilon": -1 is not in`:             {"llama.attention.layer_norm_rms_epsilon": -1.0},
		`"llama.expert_count": mixtures of experts are not supported`:        {"llama.expert_count": uint32(8)},
		`"llama.feed_forward_length": missing`:                               {"llama.feed_forward_length": nil},
		`tensor "blk.0.ffn_gate.weight": shape [64 160], want [64 96]`:       {"llama.feed_forward_length": uint32(96)},
		`"penstock.demonstration": is string, want bool`:                     {DemonstrationKey: "yes"},
		`"llama.context_length": 9223372036854775807 is not in 1 to 2147483`: {"llama.context_length": int64(math.MaxInt64)},
	} {
		_, err := New(altered(t, tiny, metadata, nil))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, name := range []string{"token_embd.weight", "output_norm.weight", "blk.1.ffn_down.weight", "blk.0.attn_norm.weight"} {
		_, err := New(altered(t, tiny, nil, func(tensor *gguf.Tensor) bool { return tensor.Name != name }))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("tensor %q: missing", name)) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	_, err := New(altered(t, tiny, nil, func(tensor *gguf.Tensor) bool {
		if tensor.Name == "blk.0.attn_k.weight" {
			elements := tensor.Elements()
			tensor.Type, tensor.Data = gguf.I8, make([]byte, elements)
		}
		return true
	}))
	if err == nil || !strings.Contains(err.Error(), `tensor "blk.0.attn_k.weight": gguf: I8 does not hold weights`) {
		t.Errorf("a matrix of integers: %v", err)
	}
}

func TestAVocabularyLargerThanTheEmbeddingIsRefused(t *testing.T) {
	config := testmodel.Tiny()
	config.Extra = map[string]any{"tokenizer.ggml.tokens": make([]string, 456)}
	_, err := New(testmodel.Open(config))
	if err == nil || !strings.Contains(err.Error(), `tensor "token_embd.weight": 455 rows for 456 tokens`) {
		t.Errorf("got %v", err)
	}
}

func TestUnusableOptionsAreRefused(t *testing.T) {
	file := testmodel.Open(testmodel.Tiny())
	for want, option := range map[string]Option{
		"0 threads":              WithThreads(0),
		"5000 threads":           WithThreads(5000),
		"a context of -1 tokens": WithContext(-1),
		"a context of 513 tokens, want 1 to the model's 512": WithContext(513),
		"-1 KV pages":                   WithPages(-1),
		"2147483647 KV pages":           WithPages(math.MaxInt32),
		`level "sse9" is not available`: WithLevel("sse9"),
	} {
		_, err := New(file, option)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	t.Setenv(LevelVariable, "mmx")
	if _, err := New(file); err == nil || !strings.Contains(err.Error(), `level "mmx"`) {
		t.Errorf("%s=mmx: %v", LevelVariable, err)
	}
	t.Setenv(LevelVariable, "generic")
	e := open(t, file, WithThreads(1))
	if device := e.Info().Device; device != "cpu (generic, 1 thread)" {
		t.Errorf("%s=generic gives %q", LevelVariable, device)
	}
}

func TestBadBatchesAreRefusedAndLeaveTheEngineWorking(t *testing.T) {
	e := open(t, testmodel.Open(testmodel.Tiny()), WithContext(100), WithPages(10))
	vocabulary, width := e.Info().Vocabulary, e.Info().Embedding
	row := engine.Row{}
	tables := [][]int32{{0, 1, 2, 3, 4, 5, 6}}
	one := func(change func(*engine.Row)) *engine.Batch {
		changed := row
		change(&changed)
		return &engine.Batch{Rows: []engine.Row{changed}, Tables: tables}
	}
	for want, batch := range map[string]*engine.Batch{
		"the batch has no rows":                      {Tables: tables},
		"row 0: token -1 is not in the vocabulary":   one(func(r *engine.Row) { r.Token = -1 }),
		"row 0: token 9999 is not in the vocabulary": one(func(r *engine.Row) { r.Token = 9999 }),
		"row 0: position 100 is not in the context":  one(func(r *engine.Row) { r.Position = 100 }),
		"row 0: position -1 is not in the context":   one(func(r *engine.Row) { r.Position = -1 }),
		"row 0: sequence 1, but there are 1":         one(func(r *engine.Row) { r.Sequence = 1 }),
		"row 0: sequence -1, but there are 1":        one(func(r *engine.Row) { r.Sequence = -1 }),
		"position 16 is beyond the 1 pages":          {Rows: []engine.Row{{Position: 16}}, Tables: [][]int32{{0}}},
		"id 10 is not below 10":                      {Rows: []engine.Row{row}, Tables: [][]int32{{10}}},
		"id -1 is not below 10":                      {Rows: []engine.Row{row}, Tables: [][]int32{{-1}}},
		"comes after position 3":                     {Rows: []engine.Row{{Position: 3}, {Position: 3}}, Tables: tables},
		"logits: 1 rows are wanted, 0 slices":        {Rows: []engine.Row{row}, Tables: tables, Logits: []int32{0}},
		"logits: row 1 is not one of the 1 rows":     {Rows: []engine.Row{row}, Tables: tables, Logits: []int32{1}, LogitsOut: make([][]float32, 1)},
		"the slice has 3 values": {
			Rows: []engine.Row{row}, Tables: tables, Logits: []int32{0}, LogitsOut: [][]float32{make([]float32, 3)},
		},
		"hidden state of row 0: the slice has": {
			Rows: []engine.Row{row}, Tables: tables, Hidden: []int32{0}, HiddenOut: [][]float32{make([]float32, vocabulary)},
		},
	} {
		if _, err := e.Forward(batch); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	good := &engine.Batch{
		Rows: []engine.Row{row}, Tables: tables, Hidden: []int32{0}, HiddenOut: [][]float32{make([]float32, width)},
	}
	if _, err := e.Forward(good); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestAClosedEngineSaysSo(t *testing.T) {
	e := open(t, testmodel.Open(testmodel.Tiny()))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	batch := &engine.Batch{Rows: []engine.Row{{}}, Tables: [][]int32{{0}}}
	if _, err := e.Forward(batch); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Forward after Close: %v", err)
	}
}

// FuzzNew changes bytes of a model file's header. Whatever comes of it is refused,
// or runs.
func FuzzNew(f *testing.F) {
	config := testmodel.Tiny()
	config.Layers, config.Embedding, config.Hidden, config.Type = 1, 32, 32, gguf.Q8_0
	model := testmodel.Build(config)
	header := bytes.Index(model, []byte("llama.block_count"))
	tensors := bytes.Index(model, []byte("token_embd.weight"))
	f.Add(uint32(header+21), uint32(1), uint32(tensors), byte('t'))
	f.Add(uint32(tensors+17), uint32(2), uint32(tensors+40), byte(12))
	f.Fuzz(func(t *testing.T, at, value, at2 uint32, value2 byte) {
		data := bytes.Clone(model)
		data[int(at)%len(data)] = byte(value)
		data[int(at2)%len(data)] = value2
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		e, err := New(file, WithThreads(1), WithPages(4))
		if err != nil {
			return
		}
		defer e.Close()
		batch := &engine.Batch{Rows: []engine.Row{{}, {Position: 1}}, Tables: [][]int32{{0}}}
		batch.Rows = batch.Rows[:min(2, e.Info().Context)]
		wantAll(e, batch)
		if _, err := e.Forward(batch); err != nil {
			t.Fatal(err)
		}
	})
}
