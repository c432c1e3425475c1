package translate

import (
	"encoding/json"
	"fmt"
	"slices"
)

// messagesTool is a tool in the Messages API.
type messagesTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"input_schema"`
	Strict      *bool           `json:"strict"`
}

// toolChoice is which tools the model may or must call, in the Messages API.
type toolChoice struct {
	Type            string `json:"type"`
	Name            string `json:"name"`
	DisableParallel bool   `json:"disable_parallel_tool_use"`
}

// tools turns the tools and the choice among them into those of a chat.
func (m *messagesRequest) tools(call *Call) error {
	for i, tool := range m.Tools {
		if tool.Type != "" && tool.Type != "custom" {
			return refuse(fmt.Sprintf("tools[%d].type", i),
				"must be custom: tools that Anthropic defines, such as web_search and bash, are not known to this model's servers")
		}
		call.chat.Tools = append(call.chat.Tools, chatTool{"function", chatFunction{
			Name: tool.Name, Description: tool.Description, Parameters: tool.InputSchema, Strict: tool.Strict,
		}})
	}
	choice := m.ToolChoice
	if choice == nil {
		return nil
	}
	switch choice.Type {
	case "auto", "none":
		call.chat.ToolChoice = choice.Type
	case "any":
		call.chat.ToolChoice = "required"
	case "tool":
		call.chat.ToolChoice = chatTool{"function", chatFunction{Name: choice.Name}}
	default:
		return refuse("tool_choice.type", "must be auto, any, tool or none")
	}
	if choice.DisableParallel {
		parallel := false
		call.chat.ParallelToolCalls = &parallel
	}
	return call.chat.fitChoice(choice.Type == "any" || choice.Type == "tool")
}

// fitChoice takes a choice out where there are no tools, because servers refuse a choice
// of nothing. required says that the model must call one.
func (c *chatRequest) fitChoice(required bool) error {
	switch {
	case len(c.Tools) > 0:
		return nil
	case required:
		return refuse("tool_choice", "asks for a tool, and there are none")
	}
	c.ToolChoice, c.ParallelToolCalls = nil, nil
	return nil
}

// responsesTool is a tool in the Responses API.
type responsesTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`
}

// allowedTools is a choice in the Responses API that names some of the tools.
type allowedTools struct {
	Type  string          `json:"type"`
	Name  string          `json:"name"`
	Mode  string          `json:"mode"`
	Tools []responsesTool `json:"tools"`
}

// tools turns the tools and the choice among them into those of a chat.
func (r *responsesRequest) tools(call *Call) error {
	var tools []responsesTool
	if given(r.Tools) {
		if json.Unmarshal(r.Tools, &tools) != nil {
			return refuse("tools", "must be a list of tools")
		}
	}
	for i, tool := range tools {
		if tool.Type != "function" {
			return refuse(fmt.Sprintf("tools[%d].type", i),
				"must be function: tools that OpenAI's servers run, such as web_search, are not known to this model's servers")
		}
		call.chat.Tools = append(call.chat.Tools, chatTool{"function", chatFunction{
			Name: tool.Name, Description: tool.Description, Parameters: tool.Parameters, Strict: tool.Strict,
		}})
	}
	if len(call.chat.Tools) > 0 {
		call.chat.ParallelToolCalls = r.ParallelToolCalls
	}
	if !given(r.ToolChoice) {
		return nil
	}
	return r.choose(call)
}

// choose reads which tools the model may or must call.
func (r *responsesRequest) choose(call *Call) error {
	var word string
	if json.Unmarshal(r.ToolChoice, &word) == nil {
		if !slices.Contains([]string{"auto", "none", "required"}, word) {
			return refuse("tool_choice", "must be auto, none, required or an object")
		}
		call.chat.ToolChoice = word
	} else {
		var choice allowedTools
		if json.Unmarshal(r.ToolChoice, &choice) != nil {
			return refuse("tool_choice", "must be auto, none, required or an object")
		}
		switch choice.Type {
		case "function":
			call.chat.ToolChoice = chatTool{"function", chatFunction{Name: choice.Name}}
			word = "required"
		case "allowed_tools":
			call.chat.Tools = slices.DeleteFunc(call.chat.Tools, func(tool chatTool) bool {
				return !slices.ContainsFunc(choice.Tools, func(one responsesTool) bool { return one.Name == tool.Function.Name })
			})
			if word = choice.Mode; word != "auto" && word != "required" {
				return refuse("tool_choice.mode", "must be auto or required")
			}
			call.chat.ToolChoice = word
		default:
			return refuse("tool_choice.type", "must be function or allowed_tools: others are not known to this model's servers")
		}
	}
	return call.chat.fitChoice(word == "required")
}
