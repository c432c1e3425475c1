// Package peer compares the CPU engine with llama.cpp on the same machine and
// the same files: numbers, tokens and speed. It is a module of its own, so that
// nothing it needs comes near the programs. See README.md for how to run it.
package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"
)

// Load loads llama.cpp from a folder with its shared libraries. A variant, such
// as haswell, leaves out the versions for all other processors; otherwise
// llama.cpp takes the best. It can be done once in a process. temporary is a
// folder that lives as long as the process needs the libraries.
func Load(folder, variant, temporary string) error {
	libraries, err := filepath.Glob(filepath.Join(folder, "*.so"))
	if err != nil {
		return err
	}
	if len(libraries) == 0 {
		return fmt.Errorf("no shared libraries in %q", folder)
	}
	for _, library := range libraries {
		name := filepath.Base(library)
		processor, found := strings.CutPrefix(strings.TrimSuffix(name, ".so"), "libggml-cpu-")
		if found && variant != "" && processor != variant {
			continue
		}
		names := []string{name}
		// libllama.b10361.so is looked for by that name and as libllama.so.
		if parts := strings.Split(name, "."); len(parts) == 3 {
			names = append(names, parts[0]+".so")
		}
		for _, name := range names {
			if err := os.Symlink(library, filepath.Join(temporary, name)); err != nil {
				return err
			}
		}
	}
	if err := llama.Load(temporary); err != nil {
		return err
	}
	llama.LogSet(llama.LogSilent())
	llama.Init()
	return llama.GGMLBackendLoadAllFromPath(temporary)
}

// Model is a model with a context of its own.
type Model struct {
	model   llama.Model
	context llama.Context
	memory  llama.Memory
	vocab   llama.Vocab
	batch   llama.Batch
}

// Settings of a context.
type Settings struct {
	Threads   int
	Context   int // tokens of all sequences together
	Sequences int
	FullCache bool // F32 keys and values; llama.cpp's own choice is F16
}

// Open loads a GGUF file.
func Open(path string, settings Settings) (*Model, error) {
	m := &Model{}
	var err error
	if m.model, err = llama.ModelLoadFromFile(path, llama.ModelDefaultParams()); err != nil {
		return nil, err
	}
	if m.model == 0 {
		return nil, fmt.Errorf("llama.cpp does not load %s", path)
	}
	params := llama.ContextDefaultParams()
	params.NCtx, params.NBatch, params.NUbatch = uint32(settings.Context), 512, 512
	params.NSeqMax = uint32(settings.Sequences)
	params.NThreads, params.NThreadsBatch = int32(settings.Threads), int32(settings.Threads)
	params.NoPerf = 1
	if settings.FullCache {
		params.TypeK, params.TypeV = llama.GGMLTypeF32, llama.GGMLTypeF32
	}
	if m.context, err = llama.InitFromModel(m.model, params); err != nil {
		return nil, err
	}
	if m.memory, err = llama.GetMemory(m.context); err != nil {
		return nil, err
	}
	m.vocab = llama.ModelGetVocab(m.model)
	m.batch = llama.BatchInit(512, 0, 1)
	return m, nil
}

// Close frees the model.
func (m *Model) Close() {
	llama.BatchFree(m.batch)
	llama.Free(m.context)
	llama.ModelFree(m.model)
}

// Vocabulary returns the number of tokens.
func (m *Model) Vocabulary() int { return int(llama.VocabNTokens(m.vocab)) }

// Row is one token of a step.
type Row struct {
	Token, Position, Sequence int32
	Logits                    bool
}

// Step runs rows and waits until they are done.
func (m *Model) Step(rows []Row) error {
	m.batch.Clear()
	for _, row := range rows {
		err := m.batch.Add(llama.Token(row.Token), llama.Pos(row.Position), []llama.SeqId{llama.SeqId(row.Sequence)}, row.Logits)
		if err != nil {
			return err
		}
	}
	code, err := llama.Decode(m.context, m.batch)
	if err == nil && code != 0 {
		err = fmt.Errorf("llama_decode returned %d", code)
	}
	if err != nil {
		return err
	}
	return llama.Synchronize(m.context)
}

// Logits returns a copy of the logits of a row of the last step.
func (m *Model) Logits(row int) ([]float32, error) {
	logits, err := llama.GetLogitsIth(m.context, int32(row), m.Vocabulary())
	return append([]float32(nil), logits...), err
}

// Forget drops what a sequence holds from a position on.
func (m *Model) Forget(sequence, from int) error {
	_, err := llama.MemorySeqRm(m.memory, llama.SeqId(sequence), llama.Pos(from), -1)
	return err
}

// Tokens tokenises text, without a start token.
func (m *Model) Tokens(text string, special bool) []int32 {
	var ids []int32
	for _, token := range llama.Tokenize(m.vocab, text, false, special) {
		ids = append(ids, int32(token))
	}
	return ids
}

// Blocks are the functions of llama.cpp that turn floats into a quantised format
// and back.
type Blocks struct {
	encode, decode func(source, target unsafe.Pointer, count int64)
}

// OpenBlocks finds the functions of a format, named as in llama.cpp, for example
// q4_K.
func OpenBlocks(folder, format string) (*Blocks, error) {
	handle, err := purego.Dlopen(filepath.Join(folder, "libggml-base.so"), purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	b := &Blocks{}
	for name, target := range map[string]any{
		"quantize_row_" + format + "_ref": &b.encode,
		"dequantize_row_" + format:        &b.decode,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, err
		}
		purego.RegisterFunc(target, symbol)
	}
	return b, nil
}

// Encode quantises values into size bytes.
func (b *Blocks) Encode(values []float32, size int) []byte {
	data := make([]byte, size)
	b.encode(unsafe.Pointer(&values[0]), unsafe.Pointer(&data[0]), int64(len(values)))
	return data
}

// Decode turns quantised data back into count values.
func (b *Blocks) Decode(data []byte, count int) []float32 {
	values := make([]float32, count)
	b.decode(unsafe.Pointer(&data[0]), unsafe.Pointer(&values[0]), int64(count))
	return values
}
