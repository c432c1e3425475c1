package caddymodule

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// Media says how many tokens a model makes of images, documents, audio and video. What
// is not named counts as for models in general.
type Media struct {
	// How many tokens an image makes. Default: `patch` with 28 pixels and at most
	// 16384 tokens.
	Image *MediaImage `json:"image,omitempty"`

	// Tokens of a page of a document. Default: 4600.
	Page int64 `json:"page,omitempty"`

	// Tokens of a second of audio. Default: 50.
	AudioSecond int64 `json:"audio_second,omitempty"`

	// Tokens of a second of video. Default: 768.
	VideoSecond int64 `json:"video_second,omitempty"`
}

// MediaImage is how many tokens a model makes of an image. Exactly one of the rules is
// named.
type MediaImage struct {
	// A token for each square of an image, as in the Qwen-VL models. Default: not
	// this rule.
	Patch *MediaPatch `json:"patch,omitempty"`

	// Tokens for each large square of an image that is shrunk first, as in OpenAI's
	// API. Default: not this rule.
	Tile *MediaTile `json:"tile,omitempty"`

	// As many tokens for each image, as in Gemma 3. Unit: tokens. Default: not this
	// rule.
	Fixed *int64 `json:"fixed,omitempty"`
}

// MediaPatch is the rule of encoders that make a token of each square of an image.
type MediaPatch struct {
	// The side of the square. Where the encoder joins patches, the side of what it
	// joins. Unit: pixels. Default: none, it must be given.
	Pixels int64 `json:"pixels"`

	// The least tokens of an image: smaller ones are enlarged. Default: 1.
	Min int64 `json:"min,omitempty"`

	// The most tokens of an image: larger ones are shrunk. Default: 16384.
	Max int64 `json:"max,omitempty"`
}

// MediaTile is the rule of encoders that cut an image into tiles.
type MediaTile struct {
	// Tokens of an image before its tiles. Default: 0.
	Base int64 `json:"base,omitempty"`

	// Tokens of a tile. Default: none, it must be given.
	PerTile int64 `json:"per_tile"`

	// The side of a tile. Unit: pixels. Default: 512.
	Pixels int64 `json:"pixels,omitempty"`

	// The side of the square that an image is shrunk into. Unit: pixels. Default: 2048.
	Fit int64 `json:"fit,omitempty"`

	// What the shorter side of an image is shrunk to. Unit: pixels. Default: 768.
	Short int64 `json:"short,omitempty"`
}

// rules returns the rules as the gate knows them; nil: those of models in general.
func (m *Media) rules() (*media.Rules, error) {
	if m == nil {
		return nil, nil
	}
	rules := &media.Rules{Page: m.Page, AudioSecond: m.AudioSecond, VideoSecond: m.VideoSecond}
	if m.Image != nil {
		var err error
		if rules.Image, err = m.Image.rule(); err != nil {
			return nil, err
		}
	}
	return rules, rules.Validate()
}

// rule returns the one rule that is named.
func (i *MediaImage) rule() (rule media.ImageRule, err error) {
	const usualMin, usualMax = 1, 16384
	named := 0
	if i.Patch != nil {
		named++
		patch := media.Patch{Pixels: i.Patch.Pixels, Min: i.Patch.Min, Max: i.Patch.Max}
		if patch.Max == 0 {
			patch.Max = usualMax
		}
		if patch.Min == 0 {
			patch.Min = usualMin
		}
		rule = patch
	}
	if i.Tile != nil {
		named++
		rule = media.Tile{Base: i.Tile.Base, PerTile: i.Tile.PerTile, Pixels: i.Tile.Pixels, Fit: i.Tile.Fit, Short: i.Tile.Short}
	}
	if i.Fixed != nil {
		named++
		rule = media.Fixed(*i.Fixed)
	}
	if named != 1 {
		return nil, errors.New("image: exactly one of patch, tile and fixed is needed")
	}
	return rule, nil
}

// mediaNames are the words after media, and imageRules those after media image.
var (
	mediaNames = []string{"image", "page", "audio_second", "video_second"}
	imageRules = []string{"patch", "tile", "fixed"}
)

// unmarshalMedia reads a line media of a block model.
func (m *Model) unmarshalMedia(d *caddyfile.Dispenser, model string) error {
	option := "model " + model + ": media"
	arguments := d.RemainingArgs()
	if len(arguments) < 2 {
		return d.Errf("%s: expected what it is for and a rule, for example: media image patch 28", option)
	}
	if m.Media == nil {
		m.Media = new(Media)
	}
	name, values := arguments[0], arguments[1:]
	option += " " + name
	var tokens *int64
	switch name {
	case "image":
		if err := m.Media.unmarshalImage(d, option, values); err != nil {
			return err
		}
	case "page":
		tokens = &m.Media.Page
	case "audio_second":
		tokens = &m.Media.AudioSecond
	case "video_second":
		tokens = &m.Media.VideoSecond
	default:
		return d.Errf("model %s: unknown media %s", model, suggest(name, mediaNames))
	}
	if tokens != nil {
		if *tokens != 0 {
			return d.Errf("%s is already specified", option)
		}
		if len(values) > 1 {
			return d.Errf("%s: unexpected argument %q", option, values[1])
		}
		if err := parseWhole(d, option, values[0], 1, tokens); err != nil {
			return err
		}
	}
	// Here the line is still known, so that the error can name it.
	if _, err := m.Media.rules(); err != nil {
		return d.Errf("model %s: media %w", model, err)
	}
	return nil
}

// unmarshalImage reads a rule for images.
func (m *Media) unmarshalImage(d *caddyfile.Dispenser, option string, arguments []string) error {
	if m.Image != nil {
		return d.Errf("%s is already specified", option)
	}
	m.Image = new(MediaImage)
	rule, values := arguments[0], arguments[1:]
	named := option + " " + rule
	var into []*int64
	least := 0
	var form string
	switch rule {
	case "patch":
		m.Image.Patch = new(MediaPatch)
		into, least = []*int64{&m.Image.Patch.Pixels, &m.Image.Patch.Min, &m.Image.Patch.Max}, 1
		form = "<pixels> [<min tokens> <max tokens>]"
	case "tile":
		m.Image.Tile = new(MediaTile)
		into, least = []*int64{&m.Image.Tile.Base, &m.Image.Tile.PerTile, &m.Image.Tile.Pixels, &m.Image.Tile.Fit, &m.Image.Tile.Short}, 2
		form = "<base tokens> <tokens of a tile> [<pixels> [<fit> [<short>]]]"
	case "fixed":
		m.Image.Fixed = new(int64)
		into, least = []*int64{m.Image.Fixed}, 1
		form = "<tokens>"
	default:
		return d.Errf("%s: unknown rule %s", option, suggest(rule, imageRules))
	}
	if len(values) < least || len(values) > len(into) || rule == "patch" && len(values) == 2 {
		return d.Errf("%s: expected %s", named, form)
	}
	for i, value := range values {
		if err := parseWhole(d, named, value, 0, into[i]); err != nil {
			return err
		}
	}
	return nil
}
