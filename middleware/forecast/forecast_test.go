package forecast

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestLikelyIsWhatCallsTookOfLate(t *testing.T) {
	e := New()
	small := Demand{Model: "tiny", Bytes: 90, Answers: 1, OutputCap: 10, TimeLimit: time.Minute}
	free := small
	free.OutputCap, free.CapByDefault = 4096, true
	if got, want := e.Likely(&small), (ledger.Quantity{InputTokens: 30, OutputTokens: 10, Duration: 10 * time.Second}); got != want {
		t.Errorf("nothing is known: %+v, want %+v", got, want)
	}
	if got := e.Likely(&free); got.OutputTokens != UsualOutputTokens {
		t.Errorf("nothing is known: %+v", got)
	}
	for range 100 {
		e.Learn(&free, &ledger.Quantity{InputTokens: 20, OutputTokens: 100}, 3*time.Second, true)
	}
	got := e.Likely(&small)
	if got.InputTokens < 20 || got.InputTokens > 23 || got.OutputTokens != 10 || got.Duration < 3*time.Second || got.Duration > 3400*time.Millisecond {
		t.Errorf("%+v", got)
	}
	if got := e.Likely(&free); got.OutputTokens < 100 || got.OutputTokens > 113 {
		t.Errorf("%+v", got)
	}
	free.Answers = 3
	if got := e.Likely(&free); got.OutputTokens < 300 || got.OutputTokens > 339 {
		t.Errorf("three answers: %+v", got)
	}
	large := small
	large.Bytes = 5000
	if got := e.Likely(&large); got.InputTokens != 1667 {
		t.Errorf("a larger body has more text in it: %+v", got)
	}
	other := small
	other.Model = "large"
	if got := e.Likely(&other); got.Duration != 10*time.Second {
		t.Errorf("another model: %+v", got)
	}
}

func TestStrictTakesATokenForEachByte(t *testing.T) {
	e := New()
	d := Demand{Bytes: 90, MediaTokens: 5, OutputCap: 1}
	if d.Estimate() != 28 || e.Likely(&d).InputTokens != 35 {
		t.Errorf("%d, %+v", d.Estimate(), e.Likely(&d))
	}
	if d.Strict = true; d.Estimate() != 159 || e.Likely(&d).InputTokens != 159 {
		t.Errorf("strict: %d, %+v", d.Estimate(), e.Likely(&d))
	}
}

func TestLikelyTokensOfMediaAreWhatTheyTookOfLate(t *testing.T) {
	e := New()
	d := Demand{Model: "sees", Bytes: 400, MediaTokens: 4096, MaxMediaTokens: 16384, OutputCap: 10, TimeLimit: time.Minute}
	if got := e.Likely(&d).InputTokens; got != 4230 {
		t.Errorf("nothing is known: %d", got)
	}
	if d.Estimate() != 4196 || d.Most().InputTokens != 400+16384+TemplateTokens {
		t.Errorf("%d, %+v", d.Estimate(), d.Most())
	}
	for range 100 {
		e.Learn(&d, &ledger.Quantity{InputTokens: 100 + 1024}, time.Second, true)
	}
	if got := e.Likely(&d).InputTokens; got < 134+1024 || got > 134+1024+160 {
		t.Errorf("a quarter of what is generally likely: %d", got)
	}
	twice := d
	twice.MediaTokens *= 2
	if got := e.Likely(&twice).InputTokens; got < 134+2048 || got > 134+2048+320 {
		t.Errorf("twice as many media: %d", got)
	}
	for range 300 {
		e.Learn(&d, &ledger.Quantity{InputTokens: 1 << 39}, time.Second, true)
	}
	if got := e.Likely(&d).InputTokens; got != d.Most().InputTokens {
		t.Errorf("more than the most: %d", got)
	}
	text := d
	text.MediaTokens, text.MaxMediaTokens = 0, 0
	if got := e.Likely(&text).InputTokens; got != 134 {
		t.Errorf("without media: %d", got)
	}
	if d.Strict = true; d.Estimate() != d.Most().InputTokens {
		t.Errorf("strict: %d", d.Estimate())
	}
}

func TestLikelyIsNeverMoreThanMost(t *testing.T) {
	e := New()
	d := Demand{Model: "tiny", Bytes: 10, Answers: 2, OutputCap: 5, CapByDefault: true, TimeLimit: time.Second}
	for range 100 {
		e.Learn(&d, &ledger.Quantity{InputTokens: 1 << 40, OutputTokens: 1 << 40}, time.Hour, true)
	}
	if got := e.Likely(&d); got != d.Most() || got != (ledger.Quantity{InputTokens: 74, OutputTokens: 10, Duration: time.Second}) {
		t.Errorf("%+v", got)
	}
}

func TestCallersCannotFillTheMemoryOfEstimates(t *testing.T) {
	e := New()
	for i := range 3 * maxModels {
		e.Learn(&Demand{Model: fmt.Sprint("m", i)}, &ledger.Quantity{}, time.Second, false)
	}
	if len(e.models) != maxModels {
		t.Errorf("%d models", len(e.models))
	}
}

func TestSizesOfPromptsAreToldApart(t *testing.T) {
	for size, want := range map[int64]int{0: 0, 255: 0, 256: 1, 1023: 1, 1024: 2, 4096: 3, 1 << 18: 6, 1 << 40: 6} {
		if got := sizeClass(size); got != want {
			t.Errorf("%d bytes are of class %d, want %d", size, got, want)
		}
	}
}
