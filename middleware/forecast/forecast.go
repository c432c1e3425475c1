// Package forecast says what a call is likely to consume, from what the latest calls
// of its model took, and what it may consume at most. It keeps a few kilobytes for each
// model, and forgets old calls bit by bit.
package forecast

import (
	"math/bits"
	"sync"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

const (
	// firstDuration is how long a call is expected to run where nothing is known of
	// its model.
	firstDuration = 10 * time.Second
	// shortestDuration is the least time that is set aside for a call.
	shortestDuration = 250 * time.Millisecond
	// firstBytesPerToken relates the bytes of a prompt to its tokens where nothing is
	// known of such prompts. Prose has more bytes to a token; a Chinese character has
	// three.
	firstBytesPerToken = 3
	// BytesPerToken relates the bytes of a prompt to its tokens for the estimate that
	// limits reserve. Settlement replaces it by the true figure.
	BytesPerToken = 4
	// TemplateTokens is what a chat template adds around the messages at most.
	TemplateTokens = 64
	// UsualOutputTokens is the most that an answer is expected to have where nothing
	// is known and its caller set no cap.
	UsualOutputTokens = 512
	// maxModels limits the models that something is known of, because callers may
	// choose the names.
	maxModels = 512
	// sizeClasses is how many sizes of prompts are told apart: small bodies consist
	// of JSON and a chat template, large ones of text.
	sizeClasses = 7
	// ratioUnit is the resolution of the ratio of tokens to bytes.
	ratioUnit = 1024
	// maxTokens bounds what an upstream reports, so that no product overflows.
	maxTokens = 1 << 40
	// maxScaled bounds what is multiplied by a ratio, likewise.
	maxScaled = 1 << 38
)

// Forecast keeps what the calls of each model took of late, so that the credit
// which is set aside for a call at first is what it is likely to cost. It is safe
// for concurrent use.
type Forecast struct {
	mutex  sync.RWMutex
	models map[string]*model
}

// New returns a Forecast that knows of no call.
func New() *Forecast { return &Forecast{models: map[string]*model{}} }

// model is what is known of the calls of one model.
type model struct {
	mutex    sync.Mutex
	duration quantile              // milliseconds from dispatch to end
	output   quantile              // tokens of an answer whose caller set no cap
	ratio    [sizeClasses]quantile // tokens to bytes of a prompt, in units of 1/ratioUnit
	media    quantile              // tokens of media to what they were likely to be, likewise
}

// Demand is what a call asks for, as far as it decides what the call is likely to
// consume and what it may consume at most.
type Demand struct {
	Model       string
	Bytes       int64 // of the body: no tokenizer makes more tokens of them
	MediaTokens int64 // what images and the like are likely to be
	// MaxMediaTokens is what they are at most; less than MediaTokens: the same.
	MaxMediaTokens int64
	Answers        int64 // 0 is taken for 1
	OutputCap      int64 // upper limit of one answer in tokens
	// CapByDefault says that the caller set no cap of its own.
	CapByDefault bool
	TimeLimit    time.Duration
	// Strict takes a token for each byte, in the estimate and in what is likely.
	Strict bool
}

// Estimate returns the input tokens that limits reserve for a call.
func (d *Demand) Estimate() int64 {
	if d.Strict {
		return d.Most().InputTokens
	}
	return (d.Bytes+BytesPerToken-1)/BytesPerToken + d.MediaTokens
}

// Most returns the upper limit of what a call may consume.
func (d *Demand) Most() ledger.Quantity {
	return ledger.Quantity{
		InputTokens:  d.Bytes + max(d.MediaTokens, d.MaxMediaTokens) + TemplateTokens,
		OutputTokens: d.OutputCap * max(d.Answers, 1), Duration: d.TimeLimit,
	}
}

// Likely returns what a call is likely to consume: at most Most.
func (f *Forecast) Likely(d *Demand) ledger.Quantity {
	likely := ledger.Quantity{
		InputTokens:  (d.Bytes+firstBytesPerToken-1)/firstBytesPerToken + d.MediaTokens,
		OutputTokens: d.OutputCap, Duration: firstDuration,
	}
	if d.CapByDefault {
		likely.OutputTokens = min(d.OutputCap, UsualOutputTokens)
	}
	if known := f.find(d.Model); known != nil {
		known.improve(d, &likely)
	}
	likely.OutputTokens *= max(d.Answers, 1)
	most := d.Most()
	likely.InputTokens = min(likely.InputTokens, most.InputTokens)
	if d.Strict {
		likely.InputTokens = most.InputTokens
	}
	likely.OutputTokens = min(likely.OutputTokens, most.OutputTokens)
	likely.Duration = min(likely.Duration, most.Duration)
	return likely
}

// improve replaces what is generally likely by what is known of the model.
func (m *model) improve(d *Demand, likely *ledger.Quantity) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if milliseconds, ok := m.duration.value(); ok {
		likely.Duration = max(time.Duration(milliseconds)*time.Millisecond, shortestDuration)
	}
	media := d.MediaTokens
	if ratio, ok := m.media.value(); ok {
		media = scaled(media, ratio)
		likely.InputTokens += media - d.MediaTokens
	}
	if ratio, ok := m.ratio[sizeClass(d.Bytes)].value(); ok {
		likely.InputTokens = scaled(d.Bytes, ratio) + media
	}
	if tokens, ok := m.output.value(); ok && d.CapByDefault {
		likely.OutputTokens = min(max(tokens, 1), d.OutputCap)
	}
}

// scaled returns a quantity times a ratio, rounded up.
func scaled(quantity, ratio int64) int64 {
	return (min(quantity, maxScaled)*(ratio+1) + ratioUnit - 1) / ratioUnit
}

// Learn takes into account what a call consumed. ran is the time from its dispatch
// to its end; reported says that its tokens are the upstream's own figures.
func (f *Forecast) Learn(d *Demand, used *ledger.Quantity, ran time.Duration, reported bool) {
	known := f.find(d.Model)
	if known == nil {
		if known = f.add(d.Model); known == nil {
			return
		}
	}
	known.mutex.Lock()
	defer known.mutex.Unlock()
	known.duration.add(ran.Milliseconds())
	if !reported {
		return
	}
	switch input := min(used.InputTokens, maxTokens); {
	case input <= 0:
	case d.MediaTokens > 0: // most of such a prompt are its media
		known.media.add(max(input-d.Bytes/BytesPerToken, 0) * ratioUnit / d.MediaTokens)
	case d.Bytes > 0:
		known.ratio[sizeClass(d.Bytes)].add(input * ratioUnit / d.Bytes)
	}
	if d.CapByDefault {
		known.output.add(used.OutputTokens / max(d.Answers, 1))
	}
}

// find returns what is known of a model, nil if nothing is.
func (f *Forecast) find(name string) *model {
	f.mutex.RLock()
	defer f.mutex.RUnlock()
	return f.models[name]
}

// add begins to learn about a model. It returns nil if there are too many already.
func (f *Forecast) add(name string) *model {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	known := f.models[name]
	if known == nil && len(f.models) < maxModels {
		known = new(model)
		f.models[name] = known
	}
	return known
}

// sizeClass returns the class of a body of that many bytes: below 256 bytes, 1 KiB,
// 4 KiB, ...
func sizeClass(size int64) int {
	const smallest = 8 // bits of the sizes of the first class
	return min(max(bits.Len64(uint64(size))-smallest+1, 0)/2, sizeClasses-1)
}
