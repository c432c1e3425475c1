package caddymodule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// Model is one model that callers may use.
type Model struct {
	// The model's name on the upstreams. Replies show callers the name that they
	// know. Default: the same name.
	UpstreamName string `json:"upstream_name,omitempty"`

	// What callers read about the model in the list of models. Default: nothing.
	Description string `json:"description,omitempty"`

	// A second name, such as `acme/tiny/acme`, under which clients of the aiXplain
	// SDK look the model up; they then call it by its first name. Default: none.
	Path string `json:"path,omitempty"`

	// What a call costs. Default: 1 credit per minute of compute time.
	Price *Price `json:"price,omitempty"`

	// The maximum length of one answer. It is written into calls that set no cap, and
	// a call that asks for more is refused. Unit: tokens. Default: 512 is written,
	// and a call may ask for more.
	MaxOutputTokens int64 `json:"max_output_tokens,omitempty"`

	// Whether the model's upstreams report running totals on every chunk of a
	// stream when asked to, as vLLM and SGLang do. A stream that is cut is then
	// charged for exactly the tokens it produced. Default: false.
	ContinuousUsage bool `json:"continuous_usage,omitempty"`

	// How many tokens the model makes of images, documents, audio and video, until an
	// upstream says it. Default: what models in general make at most.
	Media *Media `json:"media,omitempty"`
}

// Price is what a model costs, in credits: decimal numbers with up to 6
// digits after the point. Naming any price per token or per request switches
// the price per minute off, unless that is named too.
type Price struct {
	// Credits per minute of compute time. Default: 1, or 0 if any other price
	// is set.
	Minute string `json:"minute,omitempty"`

	// Credits per million input tokens. Default: 0.
	Input string `json:"input,omitempty"`

	// Credits per million input tokens that the server had cached, no more than the
	// price of input tokens. Default: the price of input tokens.
	CachedInput string `json:"cached_input,omitempty"`

	// Credits per million output tokens. Default: 0.
	Output string `json:"output,omitempty"`

	// Credits per request. Default: 0.
	Request string `json:"request,omitempty"`

	// Credits per second of sound: of the file that a transcription or translation
	// reads, or that speech fills. Such calls then count nothing else, and 50 tokens a
	// second for limits. Not beside a price per token. Default: 0.
	AudioSecond string `json:"audio_second,omitempty"`

	// Credits per image that is made. Such calls then count nothing else, and 1,000
	// tokens an image for limits. Not beside a price per token. Default: 0.
	Image string `json:"image,omitempty"`
}

// priceNames lists the parts of a price in the order of Price.
var priceNames = []string{"minute", "input", "cached_input", "output", "request", "audio_second", "image"}

// field returns the part of the price that has a name, nil if none has.
func (p *Price) field(name string) *string {
	switch name {
	case "minute":
		return &p.Minute
	case "input":
		return &p.Input
	case "cached_input":
		return &p.CachedInput
	case "output":
		return &p.Output
	case "request":
		return &p.Request
	case "audio_second":
		return &p.AudioSecond
	case "image":
		return &p.Image
	}
	return nil
}

// defaultPrice is the price of a model that has none of its own.
var defaultPrice = ledger.Price{Minute: ledger.Credit}

// price returns the price that the ledger charges by.
func (m *Model) price() (ledger.Price, error) {
	if m.Price == nil {
		return defaultPrice, nil
	}
	var price ledger.Price
	var second, image ledger.Micro
	amounts := []*ledger.Micro{&price.Minute, &price.Input, &price.CachedInput, &price.Output, &price.Request, &second, &image}
	for i, name := range priceNames {
		text := *m.Price.field(name)
		if text == "" {
			continue
		}
		amount, err := ledger.ParseMicro(text)
		if err != nil {
			return ledger.Price{}, fmt.Errorf("price %s: %w", name, err)
		}
		if amount < 0 {
			return ledger.Price{}, fmt.Errorf("price %s: %s is negative", name, text)
		}
		*amounts[i] = amount
	}
	if m.unit() != middleware.UnitToken {
		return price, m.Price.each(&price, second, image)
	}
	if price.CachedInput > price.Input {
		return ledger.Price{}, fmt.Errorf("price cached_input: %s is above the price of input", m.Price.CachedInput)
	}
	if m.Price.CachedInput != "" && price.CachedInput == 0 {
		price.CachedInput = ledger.Free // zero would mean the price of input
	}
	return price, nil
}

// unit returns what calls for sound and images are counted in.
func (m *Model) unit() middleware.Unit {
	switch {
	case m.Price == nil:
	case m.Price.AudioSecond != "":
		return middleware.UnitAudioSecond
	case m.Price.Image != "":
		return middleware.UnitImage
	}
	return middleware.UnitToken
}

// each makes a price for each second or image one for the tokens that it counts.
func (p *Price) each(price *ledger.Price, second, image ledger.Micro) error {
	name, amount, tokens := "audio_second", second, ledger.Micro(middleware.AudioSecondTokens)
	if p.AudioSecond == "" {
		name, amount, tokens = "image", image, middleware.ImageTokens
	}
	for _, other := range priceNames {
		if other != name && other != "minute" && other != "request" && *p.field(other) != "" {
			return fmt.Errorf("price %s: cannot stand beside price %s: calls are counted in one of them", name, other)
		}
	}
	const million = 1_000_000
	perToken := million / tokens // of a price for a million
	if amount > ledger.MaxMicro/perToken {
		return fmt.Errorf("price %s: %s is above %s", name, *p.field(name), ledger.MaxMicro/perToken)
	}
	price.Output = amount * perToken
	if name == "audio_second" {
		price.Input = price.Output
	}
	return nil
}

// validate checks the values.
func (m *Model) validate() error {
	if m.MaxOutputTokens < 0 {
		return fmt.Errorf("max_output_tokens %d is negative", m.MaxOutputTokens)
	}
	if _, err := m.Media.rules(); err != nil {
		return fmt.Errorf("media %w", err)
	}
	_, err := m.price()
	return err
}

// validateModels checks the values of all models.
func (a *App) validateModels() error {
	for _, name := range a.modelNames() {
		if name == "" {
			return errors.New("model without a name")
		}
		model := a.Models[name]
		if model == nil {
			continue // null: a model with every default
		}
		if err := model.validate(); err != nil {
			return fmt.Errorf("model %s: %w", name, err)
		}
	}
	return a.validatePaths()
}

// validatePaths checks that the path of a model is not the name or path of another.
func (a *App) validatePaths() error {
	owners := make(map[string]string)
	for _, name := range a.modelNames() {
		model := a.Models[name]
		if model == nil || model.Path == "" {
			continue
		}
		if _, ok := a.Models[model.Path]; ok && model.Path != name {
			return fmt.Errorf("model %s: path %s is the name of another model", name, model.Path)
		}
		if other, ok := owners[model.Path]; ok {
			return fmt.Errorf("model %s: path %s is already the path of model %s", name, model.Path, other)
		}
		owners[model.Path] = name
	}
	return nil
}

// CheckModel returns an error if callers cannot use a model of that name.
func (a *App) CheckModel(name string) error {
	if _, ok := a.Models[name]; ok || len(a.Models) == 0 {
		return nil
	}
	return fmt.Errorf("unknown model %q; the global option penstock lists %s", name, strings.Join(a.modelNames(), ", "))
}

// modelNames returns the names of the models in order.
func (a *App) modelNames() []string { return slices.Sorted(maps.Keys(a.Models)) }

// prices returns the price of each model.
func (a *App) prices() (map[string]ledger.Price, error) {
	prices := make(map[string]ledger.Price, len(a.Models))
	for name, model := range a.Models {
		if model == nil {
			model = new(Model)
		}
		price, err := model.price()
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", name, err)
		}
		prices[name] = price
	}
	return prices, nil
}

// catalog returns the models as the gate knows them, in order.
func (a *App) catalog() []middleware.Model {
	var models []middleware.Model
	for _, name := range a.modelNames() {
		known := middleware.Model{Name: name}
		if model := a.Models[name]; model != nil {
			known.UpstreamName, known.Description = model.UpstreamName, model.Description
			known.MaxOutputTokens = model.MaxOutputTokens
			known.ContinuousUsage = model.ContinuousUsage
			known.Media, _ = model.Media.rules() // validated before
			known.Unit = model.unit()
		}
		models = append(models, known)
	}
	return models
}
