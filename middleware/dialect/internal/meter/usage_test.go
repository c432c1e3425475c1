package meter

import (
	"testing"
)

// OpenAI's prompt_tokens hold the cached ones, Anthropic's input_tokens do not.
// Gateways in front of Anthropic's models send both vendors' names.
func TestCachedTokensAreAddedOnlyWhereTheyAreMissing(t *testing.T) {
	body := `{"usage":{"prompt_tokens":100,"completion_tokens":3,"cache_creation_input_tokens":5,"cache_read_input_tokens":80}}`
	meter := New(&chat, false)
	meter.Body([]byte(body))
	if usage, ok := meter.Reported(); !ok || usage != (Usage{Input: 100, Cached: 80, Output: 3}) {
		t.Errorf("%v %v", usage, ok)
	}
}
