package gpubackend

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

const (
	defaultMaxTokens   = 512
	defaultTemperature = 0.7
	mostChoices        = 16
	mostStops          = 16
	longestStop        = 256 // bytes
	longestSalt        = 256 // bytes; each cached page keeps one
	mostTopLogprobs    = 20
	mostBiases         = 1024 // each is added again for each token
)

// generationFields are the members that all generating routes understand.
type generationFields struct {
	Model               string             `json:"model"`
	MaxTokens           *int               `json:"max_tokens"`
	MaxCompletionTokens *int               `json:"max_completion_tokens"`
	Temperature         *float64           `json:"temperature"`
	TopP                *float64           `json:"top_p"`
	TopK                *int               `json:"top_k"`
	MinP                *float64           `json:"min_p"`
	RepeatPenalty       *float64           `json:"repeat_penalty"`
	RepetitionPenalty   *float64           `json:"repetition_penalty"` // the same under vLLM's name
	RepeatLastN         *int               `json:"repeat_last_n"`
	FrequencyPenalty    *float64           `json:"frequency_penalty"`
	PresencePenalty     *float64           `json:"presence_penalty"`
	LogitBias           map[string]float64 `json:"logit_bias"`
	Seed                *int64             `json:"seed"`
	Stop                oneOrMany          `json:"stop"`
	IgnoreEOS           bool               `json:"ignore_eos"`
	CacheSalt           string             `json:"cache_salt"`
	N                   *int               `json:"n"`
	Stream              bool               `json:"stream"`
	StreamOptions       struct {
		IncludeUsage         bool `json:"include_usage"`
		ContinuousUsageStats bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
}

// oneOrMany is a string or a list of strings.
type oneOrMany []string

// UnmarshalJSON accepts null, a string, or a list of strings.
func (o *oneOrMany) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		if *o = nil; string(text) != "null" {
			*o = oneOrMany{one}
		}
		return nil
	}
	var many []string
	if err := json.Unmarshal(text, &many); err != nil {
		return invalidType("stop", "stop must be a string or a list of strings")
	}
	*o = many
	return nil
}

// readBody decodes a JSON body.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.config.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &apiError{
			status: http.StatusRequestEntityTooLarge, kind: kindInvalid, code: "body_too_large",
			message: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit),
		}
	case err != nil:
		return &apiError{status: http.StatusBadRequest, kind: kindInvalid, code: "unreadable_body", message: "the body could not be read to its end"}
	case !utf8.Valid(text):
		// The decoder would silently replace such bytes.
		return &apiError{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_utf8", message: "the body is not valid UTF-8"}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return bodyError(err)
	}
	return nil
}

func bodyError(err error) *apiError {
	var known *apiError
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	message := "the body is not JSON: " + err.Error()
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrongType) && wrongType.Field != "":
		// The decoder names the embedded struct too, which callers do not know.
		member := strings.TrimPrefix(wrongType.Field, "generationFields.")
		return invalidType(member, fmt.Sprintf("%s: a %.40s does not fit there", member, wrongType.Value))
	case errors.As(err, &wrongType):
		message = fmt.Sprintf("the body is not a JSON object but: %.40s", wrongType.Value)
	case errors.As(err, &syntax):
		message = fmt.Sprintf("the body is not JSON: %v at byte %d", syntax, syntax.Offset)
	}
	return &apiError{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_json", message: message}
}

// request makes the engine's request, without its prompt.
func (f *generationFields) request(defaultMax int) (engine.Request, error) {
	request := engine.Request{
		MaxTokens: defaultMax, Stop: f.Stop, IgnoreEnd: f.IgnoreEOS, CacheSalt: f.CacheSalt,
		Sampling: engine.Sampling{
			Temperature:      valueOr(f.Temperature, defaultTemperature),
			TopP:             valueOr(f.TopP, 0),
			TopK:             max(0, valueOr(f.TopK, 0)), // -1 means all, as in vLLM
			MinP:             valueOr(f.MinP, 0),
			RepeatPenalty:    valueOr(f.RepeatPenalty, valueOr(f.RepetitionPenalty, 0)),
			RepeatWindow:     valueOr(f.RepeatLastN, 0),
			FrequencyPenalty: valueOr(f.FrequencyPenalty, 0),
			PresencePenalty:  valueOr(f.PresencePenalty, 0),
		},
	}
	if f.RepeatLastN != nil && *f.RepeatLastN == 0 {
		request.Sampling.RepeatPenalty = 0 // no window; in the engine a window of 0 is the default
	}
	if most := f.maxTokens(); most != nil {
		request.MaxTokens = *most
	}
	if f.Seed != nil {
		request.Sampling.Seed = uint64(*f.Seed)
	} else {
		request.Sampling.Seed = rand.Uint64()
	}
	if err := f.checkRanges(); err != nil {
		return request, err
	}
	bias, err := f.bias()
	request.Sampling.Bias = bias
	return request, err
}

func (f *generationFields) maxTokens() *int {
	if f.MaxCompletionTokens != nil {
		return f.MaxCompletionTokens
	}
	return f.MaxTokens
}

func (f *generationFields) choices() int { return valueOr(f.N, 1) }

func (f *generationFields) checkRanges() error {
	for _, field := range []struct {
		name             string
		value            *float64
		least, most      float64
		leastIsNotEnough bool
	}{
		{name: "temperature", value: f.Temperature, most: 2},
		{name: "top_p", value: f.TopP, most: 1, leastIsNotEnough: true},
		{name: "min_p", value: f.MinP, most: 1},
		{name: "repeat_penalty", value: f.RepeatPenalty, most: 10, leastIsNotEnough: true},
		{name: "repetition_penalty", value: f.RepetitionPenalty, most: 10, leastIsNotEnough: true},
		{name: "frequency_penalty", value: f.FrequencyPenalty, least: -2, most: 2},
		{name: "presence_penalty", value: f.PresencePenalty, least: -2, most: 2},
	} {
		if field.value == nil {
			continue
		}
		if *field.value < field.least || *field.value > field.most || field.leastIsNotEnough && *field.value == field.least {
			words := "at least"
			if field.leastIsNotEnough {
				words = "more than"
			}
			return invalid(field.name, fmt.Sprintf("%s is %g, it must be %s %g and at most %g", field.name, *field.value, words, field.least, field.most))
		}
	}
	if most := f.maxTokens(); most != nil && *most < 1 {
		name := "max_tokens"
		if f.MaxCompletionTokens != nil {
			name = "max_completion_tokens"
		}
		return invalid(name, fmt.Sprintf("%s is %d, it must be at least 1", name, *most))
	}
	if k := valueOr(f.TopK, 0); k < -1 {
		return invalid("top_k", fmt.Sprintf("top_k is %d, it must be at least 1, or 0 or -1 for all", k))
	}
	if n := f.choices(); n < 1 || n > mostChoices {
		return invalid("n", fmt.Sprintf("n is %d, it must be from 1 to %d", n, mostChoices))
	}
	if size := len(f.CacheSalt); size > longestSalt {
		return invalid("cache_salt", fmt.Sprintf("cache_salt has %d bytes, at most %d are allowed", size, longestSalt))
	}
	if len(f.Stop) > mostStops {
		return invalid("stop", fmt.Sprintf("%d stop texts, at most %d are allowed", len(f.Stop), mostStops))
	}
	for i, stop := range f.Stop {
		if stop == "" || len(stop) > longestStop {
			return invalid("stop", fmt.Sprintf("stop text %d has %d bytes, it must have 1 to %d", i, len(stop), longestStop))
		}
	}
	return nil
}

// bias returns logit_bias with its keys, token ids in decimal, as numbers.
func (f *generationFields) bias() (map[int32]float32, error) {
	if len(f.LogitBias) == 0 {
		return nil, nil
	}
	if count := len(f.LogitBias); count > mostBiases {
		return nil, invalid("logit_bias", fmt.Sprintf("logit_bias has %d tokens, at most %d are allowed", count, mostBiases))
	}
	bias := make(map[int32]float32, len(f.LogitBias))
	for name, value := range f.LogitBias {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil || value < -100 || value > 100 {
			return nil, invalid("logit_bias", fmt.Sprintf("logit_bias %.20q: %g: want a token id and a number from -100 to 100", name, value))
		}
		bias[int32(id)] = float32(value)
	}
	return bias, nil
}

func valueOr[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}
