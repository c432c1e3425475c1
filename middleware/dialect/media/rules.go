// Package media says how many tokens models make of images, documents, audio and
// video. Encoders differ: some cut an image into patches, some into tiles, and some
// make as many tokens of each.
//
// [Rules] are a model's. [Content] is what a request holds, found before its model is
// known. Together they give what the media of the request are likely to count, and what
// they count at most.
package media

import (
	"cmp"
	"fmt"
	"math"
)

// Rules say how many tokens a model makes of media. The zero Rules are those of models
// in general: nearly all make fewer. A nil *Rules means the same.
type Rules struct {
	Image       ImageRule // nil: DefaultImage
	Page        int64     // tokens of a page of a document; 0: DefaultPage
	AudioSecond int64     // tokens of a second of audio; 0: DefaultAudioSecond
	VideoSecond int64     // tokens of a second of video; 0: DefaultVideoSecond
}

// What media count for models in general.
const (
	// DefaultPage is that of a page which the model gets both as an image and as text.
	DefaultPage = 4600
	// DefaultAudioSecond is that of encoders that do not join neighbouring frames.
	DefaultAudioSecond = 50
	// DefaultVideoSecond is that of one frame of the largest size for each second.
	DefaultVideoSecond = 768
)

// DefaultImage is the rule for images without one: patches of 28 pixels, as the Qwen-VL
// models have them, up to the 16,384 at which those shrink an image.
var DefaultImage ImageRule = Patch{Pixels: 28, Min: 1, Max: 16384}

// MaxTokens is the largest number of tokens that a rule may name, so that no sum overflows.
const MaxTokens = 1 << 20

// ImageRule says how many tokens a model makes of an image. Implementations are
// immutable, and are used by several goroutines at once.
type ImageRule interface {
	// Tokens returns the tokens of an image whose sides are that many pixels long, each
	// of them from 1 to MaxSide.
	Tokens(width, height int64) int64
	// Most returns the tokens of the image that has most of them.
	Most() int64
	// Validate returns an error if the rule cannot be meant.
	Validate() error
}

// MaxSide is the largest side of an image in pixels. An image that claims more is one
// of unknown size.
const MaxSide = 1<<17 - 1

// Patch is the rule of encoders that make one token of each square of an image. They
// enlarge or shrink an image that has too few or too many.
type Patch struct {
	Pixels int64 // side of the square
	Min    int64 // tokens of an image at least
	Max    int64 // tokens of an image at most
}

// Tokens implements ImageRule.
func (p Patch) Tokens(width, height int64) int64 {
	tokens := parts(width, p.Pixels) * parts(height, p.Pixels)
	if area := p.Min * p.Pixels * p.Pixels; width*height < area {
		// Enlarged to the least area, whose sides are then rounded up.
		scale := math.Sqrt(float64(area) / float64(width*height))
		tokens = max(tokens, scaledParts(width, scale, p.Pixels)*scaledParts(height, scale, p.Pixels))
	}
	return min(max(tokens, p.Min), p.Max)
}

// Most implements ImageRule.
func (p Patch) Most() int64 { return p.Max }

// Validate implements ImageRule.
func (p Patch) Validate() error {
	switch {
	case p.Pixels < 1 || p.Pixels > MaxSide:
		return fmt.Errorf("patch: %d pixels are outside 1 to %d", p.Pixels, MaxSide)
	case p.Max < 1 || p.Max > MaxTokens:
		return fmt.Errorf("patch: a maximum of %d tokens is outside 1 to %d", p.Max, MaxTokens)
	case p.Min < 0 || p.Min > p.Max:
		return fmt.Errorf("patch: a minimum of %d tokens is outside 0 to the maximum, %d", p.Min, p.Max)
	}
	return nil
}

// parts returns how many parts of a size cover a length.
func parts(length, size int64) int64 { return (length + size - 1) / size }

// scaledParts returns how many parts of a size cover a length once it is enlarged.
func scaledParts(length int64, scale float64, size int64) int64 {
	return int64(math.Ceil(float64(length) * scale / float64(size)))
}

// Tile is the rule of OpenAI's API: an image is shrunk to fit into a square, then until
// its shorter side is short enough, and cut into square tiles.
type Tile struct {
	Base    int64 // tokens of an image before its tiles
	PerTile int64 // tokens of a tile
	Pixels  int64 // side of a tile; 0: 512
	Fit     int64 // side of the square into which an image is shrunk; 0: 2048
	Short   int64 // length to which its shorter side is shrunk; 0: 768
}

// sides returns the three lengths in pixels, with their defaults.
func (t Tile) sides() (pixels, fit, short int64) {
	const usualPixels, usualFit, usualShort = 512, 2048, 768
	return cmp.Or(t.Pixels, usualPixels), cmp.Or(t.Fit, usualFit), cmp.Or(t.Short, usualShort)
}

// Tokens implements ImageRule.
func (t Tile) Tokens(width, height int64) int64 {
	pixels, fit, short := t.sides()
	if longer := max(width, height); longer > fit {
		width, height = parts(width*fit, longer), parts(height*fit, longer)
	}
	if shorter := min(width, height); shorter > short {
		width, height = parts(width*short, shorter), parts(height*short, shorter)
	}
	return t.Base + t.PerTile*parts(width, pixels)*parts(height, pixels)
}

// Most implements ImageRule.
func (t Tile) Most() int64 {
	_, fit, short := t.sides()
	return t.Tokens(fit, min(fit, short))
}

// Validate implements ImageRule.
func (t Tile) Validate() error {
	for _, tokens := range []int64{t.Base, t.PerTile} {
		if tokens < 0 || tokens > MaxTokens {
			return fmt.Errorf("tile: %d tokens are outside 0 to %d", tokens, MaxTokens)
		}
	}
	pixels, fit, short := t.sides()
	for _, side := range []int64{pixels, fit, short} {
		if side < 1 || side > MaxSide {
			return fmt.Errorf("tile: %d pixels are outside 1 to %d", side, MaxSide)
		}
	}
	if most := t.Most(); most < 1 || most > MaxTokens {
		return fmt.Errorf("tile: a maximum of %d tokens is outside 1 to %d", most, MaxTokens)
	}
	return nil
}

// Fixed is the rule of encoders that make as many tokens of each image.
type Fixed int64

// Tokens implements ImageRule.
func (f Fixed) Tokens(_, _ int64) int64 { return int64(f) }

// Most implements ImageRule.
func (f Fixed) Most() int64 { return int64(f) }

// Validate implements ImageRule.
func (f Fixed) Validate() error {
	if f < 0 || f > MaxTokens {
		return fmt.Errorf("fixed: %d tokens are outside 0 to %d", int64(f), MaxTokens)
	}
	return nil
}

// Validate returns an error if the rules cannot be meant.
func (r *Rules) Validate() error {
	if r.Image != nil {
		if err := r.Image.Validate(); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	for _, rule := range []struct {
		name   string
		tokens int64
	}{{"page", r.Page}, {"audio_second", r.AudioSecond}, {"video_second", r.VideoSecond}} {
		if rule.tokens < 0 || rule.tokens > MaxTokens {
			return fmt.Errorf("%s: %d tokens are outside 0 to %d", rule.name, rule.tokens, MaxTokens)
		}
	}
	return nil
}

// withDefaults returns the rules with the general ones where they say nothing.
func (r *Rules) withDefaults() Rules {
	var rules Rules
	if r != nil {
		rules = *r
	}
	if rules.Image == nil {
		rules.Image = DefaultImage
	}
	rules.Page = cmp.Or(rules.Page, DefaultPage)
	rules.AudioSecond = cmp.Or(rules.AudioSecond, DefaultAudioSecond)
	rules.VideoSecond = cmp.Or(rules.VideoSecond, DefaultVideoSecond)
	return rules
}
