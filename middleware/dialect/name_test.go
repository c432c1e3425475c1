package dialect

import "testing"

func TestNamesAreReadAsTheyAreWritten(t *testing.T) {
	for i := range descriptions {
		name := Name(i)
		if again, ok := ParseName(name.String()); !ok || again != name || name.String() == "" {
			t.Errorf("%q is read as %q, %v", name, again, ok)
		}
	}
	if _, ok := ParseName("gemini"); ok {
		t.Error("an unknown name is known")
	}
}

func TestLimitHeadersAreThoseOfTheDialect(t *testing.T) {
	if headers := Anthropic.LimitHeaders(); headers.Requests[0] != "Anthropic-Ratelimit-Requests-Limit" || !headers.ResetAt {
		t.Errorf("Anthropic: %+v", headers)
	}
	if headers := Ollama.LimitHeaders(); headers.Tokens[1] != "X-Ratelimit-Remaining-Tokens" || headers.ResetAt {
		t.Errorf("Ollama: %+v", headers)
	}
}

func TestPathsTellTheDialectOfTheirCallers(t *testing.T) {
	for path, want := range map[string]Name{
		"/v1/messages": Anthropic, "/v1/messages/count_tokens": Anthropic, "//v1/messages": OpenAI,
		"/sdk/x": Aixplain, "//api/v1/data/x": Aixplain, "/v2/models": Aixplain, "/api/infer": Aquin, "/x": OpenAI, "": OpenAI,
	} {
		if got := NameOf(path); got != want {
			t.Errorf("%q is taken for %s, want %s", path, got, want)
		}
	}
}
