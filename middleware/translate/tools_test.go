package translate

import (
	"strings"
	"testing"
)

func TestToolsAndTheChoiceAmongThem(t *testing.T) {
	const message, input = `{"messages":[{"role":"user","content":"q"}],`, `{"input":"q",`
	const tool = `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]`
	for _, test := range []struct {
		api        APIs
		body, want string
	}{
		{Messages, message + `"tools":[{"type":"custom","name":"f","description":"d","input_schema":{"type":"object"},"cache_control":{}}]}`, tool},
		{Messages, message + `"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto"}}`, `"tool_choice":"auto"`},
		{Messages, message + `"tools":[{"name":"f"}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}}`, `"tool_choice":"required","parallel_tool_calls":false`},
		{Messages, message + `"tools":[{"name":"f"}],"tool_choice":{"type":"none"}}`, `"tool_choice":"none"`},
		{Messages, message + `"tools":[{"name":"f"}],"tool_choice":{"type":"tool","name":"f"}}`, `"tool_choice":{"type":"function","function":{"name":"f"}}`},
		{Messages, message + `"tools":[],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, `"max_tokens":9}`},
		{Responses, input + `"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":null}]}`, tool},
		{Responses, input + `"tools":[{"type":"function","name":"f"}],"tool_choice":"required","parallel_tool_calls":false}`, `"tool_choice":"required","parallel_tool_calls":false`},
		{Responses, input + `"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}}`, `"tool_choice":{"type":"function","function":{"name":"f"}}`},
		{Responses, input + `"tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"}]}}`, `"tools":[{"type":"function","function":{"name":"g"}}],"tool_choice":"auto"`},
		{Responses, input + `"tools":[],"tool_choice":"auto","parallel_tool_calls":true}`, `"max_tokens":9}`},
	} {
		if got := sent(t, test.api, test.body); !strings.Contains(got, test.want) {
			t.Errorf("%s:\n%s\nwant\n%s", test.body, got, test.want)
		}
	}
	for body, param := range map[string]string{
		input + `"tools":[{"type":"web_search"}]}`: "tools[0].type",
		input + `"tools":7}`:                       "tools",
		input + `"tool_choice":"x"}`:               "tool_choice",
		input + `"tool_choice":7}`:                 "tool_choice",
		input + `"tool_choice":"required"}`:        "tool_choice",
		input + `"tool_choice":{"type":"hosted"}}`: "tool_choice.type",
		input + `"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"x"}}`: "tool_choice.mode",
	} {
		refused(t, Responses, body, param)
	}
}
