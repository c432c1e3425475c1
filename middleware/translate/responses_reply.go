package translate

import (
	"encoding/json"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// response is the object of the Responses API: the whole answer, or its state in a stream.
type response struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"` // response
	CreatedAt         int64           `json:"created_at"`
	Status            string          `json:"status"`
	Background        bool            `json:"background"`
	Error             *struct{}       `json:"error"`
	Incomplete        *incomplete     `json:"incomplete_details"`
	Instructions      json.RawMessage `json:"instructions"`
	MaxOutputTokens   *int64          `json:"max_output_tokens"`
	Model             string          `json:"model"`
	Output            []any           `json:"output"` // of the types below
	ParallelToolCalls bool            `json:"parallel_tool_calls"`
	PreviousResponse  *string         `json:"previous_response_id"`
	Reasoning         json.RawMessage `json:"reasoning"`
	Store             bool            `json:"store"` // nothing is stored
	Temperature       *float64        `json:"temperature"`
	Text              json.RawMessage `json:"text"`
	ToolChoice        json.RawMessage `json:"tool_choice"`
	Tools             json.RawMessage `json:"tools"`
	TopP              *float64        `json:"top_p"`
	Truncation        string          `json:"truncation"`
	Usage             *responsesUsage `json:"usage"`
	User              *string         `json:"user"`
	Metadata          json.RawMessage `json:"metadata"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

type responsesUsage struct {
	Input        int64 `json:"input_tokens"`
	InputDetails struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Output        int64 `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int64 `json:"total_tokens"`
}

// The items of an output.
type (
	messageItem struct {
		ID      string `json:"id"`
		Type    string `json:"type"` // message
		Status  string `json:"status"`
		Role    string `json:"role"`    // assistant
		Content []any  `json:"content"` // outputText or refusalPart
	}
	reasoningItem struct {
		ID      string         `json:"id"`
		Type    string         `json:"type"` // reasoning
		Status  string         `json:"status"`
		Summary []struct{}     `json:"summary"`
		Content []reasoningBit `json:"content"`
	}
	functionItem struct {
		ID        string `json:"id"`
		Type      string `json:"type"` // function_call
		Status    string `json:"status"`
		CallID    string `json:"call_id"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
)

// The parts of an item.
type (
	outputText struct {
		Type        string     `json:"type"` // output_text
		Text        string     `json:"text"`
		Annotations []struct{} `json:"annotations"`
		Logprobs    []struct{} `json:"logprobs"`
	}
	refusalPart struct {
		Type    string `json:"type"` // refusal
		Refusal string `json:"refusal"`
	}
	reasoningBit struct {
		Type string `json:"type"` // reasoning_text
		Text string `json:"text"`
	}
)

func newOutputText(text string) outputText {
	return outputText{Type: "output_text", Text: text, Annotations: []struct{}{}, Logprobs: []struct{}{}}
}

// newResponse returns the response as it begins. It repeats what the request asked for.
func newResponse(s *Stream) response {
	asked := s.call.echo
	r := response{
		ID: "resp_" + s.answer.ID, Object: "response", CreatedAt: s.answer.Created.Unix(), Status: "in_progress",
		Instructions: or(asked.Instructions, "null"), MaxOutputTokens: asked.MaxOutputTokens, Model: s.answer.Model,
		Output: []any{}, ParallelToolCalls: asked.ParallelToolCalls == nil || *asked.ParallelToolCalls,
		Reasoning: or(asked.Reasoning, `{"effort":null,"summary":null}`), Temperature: asked.Temperature,
		Text: or(asked.Text, `{"format":{"type":"text"}}`), ToolChoice: or(asked.ToolChoice, `"auto"`),
		Tools: or(asked.Tools, "[]"), TopP: asked.TopP, Truncation: "disabled", Metadata: or(asked.Metadata, "{}"),
	}
	if asked.User != "" {
		r.User = &asked.User
	}
	return r
}

// or returns what was given, or else what stands for it.
func or(raw json.RawMessage, otherwise string) json.RawMessage {
	if given(raw) {
		return raw
	}
	return json.RawMessage(otherwise)
}

// finish ends the response.
func (r *response) finish(ending ending) {
	switch ending.reason {
	case "length":
		r.Status, r.Incomplete = "incomplete", &incomplete{"max_output_tokens"}
	case "content_filter":
		r.Status, r.Incomplete = "incomplete", &incomplete{"content_filter"}
	default:
		r.Status = "completed"
	}
	r.Usage = responsesUsageOf(ending.usage, ending.reasoning)
}

func responsesUsageOf(usage dialect.Usage, reasoning int64) *responsesUsage {
	u := &responsesUsage{Input: usage.Input, Output: usage.Output, Total: usage.Input + usage.Output}
	u.InputDetails.Cached, u.OutputDetails.Reasoning = usage.Cached, min(reasoning, usage.Output)
	return u
}
