package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

func TestMediaOfAModelReachTheGate(t *testing.T) {
	for text, want := range map[string]media.Rules{
		`{}`: {},
		`{"page":1,"audio_second":2,"video_second":3}`:      {Page: 1, AudioSecond: 2, VideoSecond: 3},
		`{"image":{"patch":{"pixels":28}}}`:                 {Image: media.Patch{Pixels: 28, Min: 1, Max: 16384}},
		`{"image":{"patch":{"pixels":32,"min":4,"max":9}}}`: {Image: media.Patch{Pixels: 32, Min: 4, Max: 9}},
		`{"image":{"tile":{"base":85,"per_tile":170}}}`:     {Image: media.Tile{Base: 85, PerTile: 170}},
		`{"image":{"fixed":0}}`:                             {Image: media.Fixed(0)},
	} {
		app := &App{Models: map[string]*Model{"m": {Media: new(Media)}}}
		if err := json.Unmarshal([]byte(text), app.Models["m"].Media); err != nil {
			t.Fatal(err)
		}
		if err := app.validateModels(); err != nil {
			t.Fatal(err)
		}
		if got := app.catalog()[0].Media; got == nil || *got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	app := &App{Models: map[string]*Model{"m": {}, "n": nil}}
	for _, model := range app.catalog() {
		if model.Media != nil {
			t.Errorf("%+v", model)
		}
	}
}

func TestRulesForImagesExcludeEachOther(t *testing.T) {
	fixed := int64(1)
	for _, image := range []MediaImage{{}, {Fixed: &fixed, Tile: &MediaTile{PerTile: 1}}} {
		model := &Model{Media: &Media{Image: &image}}
		if err := model.validate(); err == nil || !strings.Contains(err.Error(), "media image: exactly one of patch, tile and fixed is needed") {
			t.Error(err)
		}
	}
}
