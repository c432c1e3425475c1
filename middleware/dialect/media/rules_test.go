package media

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestAnImageCountsWhatItsRuleSays(t *testing.T) {
	qwen, gpt := Patch{Pixels: 28, Min: 4, Max: 16384}, Tile{Base: 85, PerTile: 170}
	for _, test := range []struct {
		rule          ImageRule
		width, height int64
		want          int64
	}{
		{qwen, 640, 480, 23 * 18},
		{qwen, 1, 1, 4},
		{qwen, 29, 200, 2 * 8},
		{qwen, 1, 95, 20}, // a thin one is enlarged to 6 by 546 pixels
		{qwen, 8000, 6000, 16384},
		{Patch{Pixels: 28, Max: 16384}, 28, 28, 1},
		{gpt, 512, 512, 85 + 170},
		{gpt, 513, 512, 85 + 2*170},
		{gpt, 1024, 1024, 85 + 4*170},   // shrunk to 768 by 768
		{gpt, 4096, 8192, 85 + 6*170},   // to 1024 by 2048, then to 768 by 1536
		{gpt, 100, 100_000, 85 + 4*170}, // to 3 by 2048
		{gpt, 100_000, 37_500, 85 + 8*170},
		{Tile{Base: 0, PerTile: 256, Pixels: 448, Fit: 448, Short: 448}, 3000, 100, 256},
		{Fixed(256), 10, 10_000, 256},
	} {
		if err := test.rule.Validate(); err != nil {
			t.Error(err)
		}
		if got := test.rule.Tokens(test.width, test.height); got != test.want {
			t.Errorf("%#v of %d by %d: %d tokens, want %d", test.rule, test.width, test.height, got, test.want)
		}
	}
}

// The model's own code rounds each side to the nearest patch, and shrinks or enlarges
// what then has too many pixels or too few.
func TestAPatchRuleIsNeverBelowWhatQwenMakes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		rule := Patch{Pixels: 28 + 4*random.Int64N(2), Min: 1 + random.Int64N(256), Max: 200 + random.Int64N(16384)}
		rule.Min = min(rule.Min, rule.Max)
		width, height := 1+random.Int64N(1<<(1+random.IntN(14))), 1+random.Int64N(1<<(1+random.IntN(14)))
		if max(width, height) > 200*min(width, height) {
			continue // it refuses those
		}
		side, w, h := float64(rule.Pixels), float64(width), float64(height)
		columns, rows := max(1, math.RoundToEven(w/side)), max(1, math.RoundToEven(h/side))
		switch area := columns * rows; {
		case area > float64(rule.Max):
			shrink := math.Sqrt(w * h / (float64(rule.Max) * side * side))
			columns, rows = max(1, math.Floor(w/shrink/side)), max(1, math.Floor(h/shrink/side))
		case area < float64(rule.Min):
			enlarge := math.Sqrt(float64(rule.Min) * side * side / (w * h))
			columns, rows = math.Ceil(w*enlarge/side), math.Ceil(h*enlarge/side)
		}
		if got, made := rule.Tokens(width, height), int64(columns*rows); got < min(made, rule.Max) || got > rule.Most() {
			t.Fatalf("%+v of %d by %d: %d tokens, the model makes %d", rule, width, height, got, made)
		}
	}
}

func TestNoImageCountsMoreThanTheMost(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	rules := []ImageRule{DefaultImage, Patch{14, 1, 256}, Patch{1, 0, 1}, Tile{Base: 85, PerTile: 170}, Tile{2833, 5667, 512, 2048, 768}, Tile{1, 1, 100, 50, 900}, Fixed(0), Fixed(256)}
	for range 100_000 {
		width, height := 1+random.Int64N(1<<(1+random.IntN(17))-1), 1+random.Int64N(1<<(1+random.IntN(17))-1)
		for _, rule := range rules {
			if got := rule.Tokens(width, height); got < 0 || got > rule.Most() || got != rule.Tokens(height, width) {
				t.Fatalf("%#v of %d by %d: %d tokens of at most %d", rule, width, height, got, rule.Most())
			}
		}
	}
}

func TestRulesThatCannotBeMeantAreRefused(t *testing.T) {
	for want, rules := range map[string]Rules{
		"image: patch: 0 pixels are outside 1 to 131071":                      {Image: Patch{0, 1, 2}},
		"image: patch: a maximum of 0 tokens is outside 1 to 1048576":         {Image: Patch{28, 0, 0}},
		"image: patch: a minimum of 5 tokens is outside 0 to the maximum, 4":  {Image: Patch{28, 5, 4}},
		"image: patch: a minimum of -1 tokens is outside 0 to the maximum, 4": {Image: Patch{28, -1, 4}},
		"image: tile: -1 tokens are outside 0 to 1048576":                     {Image: Tile{Base: -1}},
		"image: tile: 200000 pixels are outside 1 to 131071":                  {Image: Tile{Base: 1, Fit: 200_000}},
		"image: tile: a maximum of 0 tokens is outside 1 to 1048576":          {Image: Tile{}},
		"image: tile: a maximum of 8000000 tokens is outside 1 to 1048576":    {Image: Tile{PerTile: 1_000_000}},
		"image: fixed: 1048577 tokens are outside 0 to 1048576":               {Image: Fixed(MaxTokens + 1)},
		"page: -1 tokens are outside 0 to 1048576":                            {Page: -1},
		"audio_second: -1 tokens are outside 0 to 1048576":                    {AudioSecond: -1},
		"video_second: 1048577 tokens are outside 0 to 1048576":               {VideoSecond: MaxTokens + 1},
	} {
		if err := rules.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, rules := range []Rules{{}, {Image: DefaultImage, Page: 1, AudioSecond: 1, VideoSecond: 1}, {Image: Fixed(0)}} {
		if err := rules.Validate(); err != nil {
			t.Error(err)
		}
	}
}
