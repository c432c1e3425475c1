package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/cpu"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/internal/needs"
)

// Environment variables of the tests.
const (
	libraryVariable = "PEER_LIB"     // the folder with llama.cpp's libraries
	variantVariable = "PEER_VARIANT" // a processor's name, empty for the best
)

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "peer")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if library := os.Getenv(libraryVariable); library != "" {
		if err := Load(library, os.Getenv(variantVariable), folder); err != nil {
			fmt.Fprintln(os.Stderr, "load llama.cpp:", err)
			os.Exit(1)
		}
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

func needLibrary(tb testing.TB) {
	tb.Helper()
	if os.Getenv(libraryVariable) == "" {
		needs.Unavailable(tb, "llama.cpp", libraryVariable+" does not name the folder with its libraries")
	}
}

// pair is one model in both engines.
type pair struct {
	ours   *cpu.Engine
	theirs *Model
	file   *gguf.File
}

func open(tb testing.TB, config testmodel.Config, settings Settings, opts ...cpu.Option) *pair {
	tb.Helper()
	needLibrary(tb)
	path := filepath.Join(tb.TempDir(), "model.gguf")
	if err := os.WriteFile(path, testmodel.Build(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	p := &pair{}
	var err error
	if p.file, err = gguf.Open(path); err != nil {
		tb.Fatal(err)
	}
	opts = append([]cpu.Option{cpu.WithThreads(settings.Threads), cpu.WithPages(settings.Context / engine.PageSize)}, opts...)
	if p.ours, err = cpu.New(p.file, opts...); err != nil {
		tb.Fatal(err)
	}
	if p.theirs, err = Open(path, settings); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		p.theirs.Close()
		p.ours.Close()
		p.file.Close()
	})
	return p
}

// batch is what both engines are given: tokens of some sequences, from a
// position on, with the logits of all rows or of the last of each sequence.
type batch struct {
	sequences, position, tokens int
	all                         bool
}

func (b batch) rows() []Row {
	var rows []Row
	for s := range b.sequences {
		for i := range b.tokens {
			rows = append(rows, Row{
				Token:    int32((b.position+i)*31+s*7) % 250,
				Position: int32(b.position + i), Sequence: int32(s),
				Logits: b.all || i == b.tokens-1,
			})
		}
	}
	return rows
}

// engineBatch turns the rows into a batch of the engine. Sequences have pages each.
func (p *pair) engineBatch(b batch, pages int) *engine.Batch {
	out := &engine.Batch{}
	for s := range b.sequences {
		var table []int32
		for page := range pages {
			table = append(table, int32(s*pages+page))
		}
		out.Tables = append(out.Tables, table)
	}
	for i, row := range b.rows() {
		out.Rows = append(out.Rows, engine.Row{Token: row.Token, Position: row.Position, Sequence: row.Sequence})
		if row.Logits {
			out.Logits = append(out.Logits, int32(i))
			out.LogitsOut = append(out.LogitsOut, make([]float32, p.ours.Info().Vocabulary))
		}
	}
	return out
}
