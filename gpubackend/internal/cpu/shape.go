package cpu

import (
	"errors"
	"fmt"
	"math"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// DemonstrationKey is the boolean metadata key with which a file says that its
// answers are only a demonstration.
const DemonstrationKey = "penstock.demonstration"

// shape is the size of a model, as the file's metadata tells it.
type shape struct {
	architecture string
	name         string
	layers       int
	context      int // longest sequence that the model was made for
	embedding    int
	hidden       int // width of the feed-forward part
	heads        int
	keyHeads     int // heads of keys and values
	headSize     int
	rotated      int // dimensions of a head that rotary embedding turns
	halves       bool
	epsilon      float32
	demo         bool
	rope         ropeShape
}

// ropeShape is how positions are turned into angles.
type ropeShape struct {
	base       float64
	scaling    string // none, linear or yarn
	factor     float64
	original   float64 // context before scaling, for yarn
	attention  float64 // factor on the magnitude, for yarn
	fast, slow float64 // bounds of the blend in rotations, for yarn
}

// The largest sizes that are accepted. They are far above any real model and
// keep products of two of them within 63 bits.
const (
	maxLayers = 4096
	maxWidth  = 1 << 24
	maxHeads  = 1 << 14
)

// metadata reads keys below the architecture's name and keeps the first error.
type metadata struct {
	file   *gguf.File
	prefix string
	err    error
}

func (m *metadata) whole(key string, low, high, fallback int64) int {
	number, err := m.file.Int(m.prefix + key)
	if errors.Is(err, gguf.ErrMissing) && fallback >= 0 {
		return int(fallback)
	}
	if err == nil && (number < low || number > high) {
		err = fmt.Errorf("metadata %q: %d is not in %d to %d", m.prefix+key, number, low, high)
	}
	m.note(err)
	return int(number)
}

func (m *metadata) float(key string, low, high, fallback float64) float64 {
	number, err := m.file.Float(m.prefix + key)
	if errors.Is(err, gguf.ErrMissing) {
		return fallback
	}
	// Written so that NaN fails.
	if err == nil && !(number >= low && number <= high) {
		err = fmt.Errorf("metadata %q: %g is not in %g to %g", m.prefix+key, number, low, high)
	}
	m.note(err)
	return number
}

func (m *metadata) text(key, fallback string) string {
	text, err := m.file.Text(m.prefix + key)
	if errors.Is(err, gguf.ErrMissing) {
		return fallback
	}
	m.note(err)
	return text
}

func (m *metadata) note(err error) {
	if m.err == nil {
		m.err = err
	}
}

func readShape(file *gguf.File) (shape, error) {
	architecture, err := file.Text("general.architecture")
	if err != nil {
		return shape{}, err
	}
	s := shape{architecture: architecture}
	switch architecture {
	case "llama":
	case "qwen2", "qwen3":
		s.halves = true
	default:
		return shape{}, fmt.Errorf("architecture %q is not supported, only llama, qwen2 and qwen3 are", architecture)
	}
	general := &metadata{file: file, prefix: "general."}
	s.name = general.text("name", file.Name)
	m := &metadata{file: file, prefix: architecture + ".", err: general.err}
	s.layers = m.whole("block_count", 1, maxLayers, -1)
	s.context = m.whole("context_length", 1, math.MaxInt32, -1)
	s.embedding = m.whole("embedding_length", 1, maxWidth, -1)
	s.hidden = m.whole("feed_forward_length", 1, maxWidth, -1)
	s.heads = m.whole("attention.head_count", 1, maxHeads, -1)
	s.keyHeads = m.whole("attention.head_count_kv", 1, maxHeads, int64(s.heads))
	s.epsilon = float32(m.float("attention.layer_norm_rms_epsilon", 0, 1, 1e-5))
	if experts := m.whole("expert_count", 0, math.MaxInt32, 0); experts > 0 {
		m.note(fmt.Errorf("metadata %q: mixtures of experts are not supported, the model has %d", m.prefix+"expert_count", experts))
	}
	s.readHeads(m)
	s.readRope(m)
	if demo, err := file.Bool(DemonstrationKey); !errors.Is(err, gguf.ErrMissing) {
		m.note(err)
		s.demo = demo
	}
	return s, m.err
}

func (s *shape) readHeads(m *metadata) {
	if m.err != nil {
		return
	}
	if s.heads%s.keyHeads != 0 {
		m.note(fmt.Errorf("metadata %q: %d does not divide the %d heads", m.prefix+"attention.head_count_kv", s.keyHeads, s.heads))
	}
	s.headSize = m.whole("attention.key_length", 1, maxHeads, int64(s.embedding/s.heads))
	values := m.whole("attention.value_length", 1, maxHeads, int64(s.headSize))
	if m.err == nil && values != s.headSize {
		m.note(fmt.Errorf("metadata %q: %d differs from the key length %d, which is not supported",
			m.prefix+"attention.value_length", values, s.headSize))
	}
	if m.err == nil && s.headSize == 0 {
		m.note(fmt.Errorf("metadata %q: %d heads are more than the width %d", m.prefix+"attention.head_count", s.heads, s.embedding))
	}
	if m.err != nil {
		return
	}
	s.rotated = m.whole("rope.dimension_count", 0, int64(s.headSize), int64(s.headSize))
	if s.rotated%2 != 0 {
		m.note(fmt.Errorf("metadata %q: %d is odd", m.prefix+"rope.dimension_count", s.rotated))
	}
}

func (s *shape) readRope(m *metadata) {
	r := &s.rope
	r.base = m.float("rope.freq_base", 1e-3, 1e12, 10000)
	r.factor = m.float("rope.scaling.factor", 1e-3, 1e6, m.float("rope.scale_linear", 1e-3, 1e6, 1))
	fallback := "none"
	if r.factor != 1 {
		fallback = "linear"
	}
	r.scaling = m.text("rope.scaling.type", fallback)
	r.original = m.float("rope.scaling.original_context_length", 1, math.MaxInt32, float64(s.context))
	r.attention = m.float("rope.scaling.attn_factor", 1e-3, 1e3, 1)
	r.fast = m.float("rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32)
	r.slow = m.float("rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1)
	switch r.scaling {
	case "none", "linear", "yarn":
	default:
		m.note(fmt.Errorf("metadata %q: %q is not supported, only none, linear and yarn are", m.prefix+"rope.scaling.type", r.scaling))
	}
}
