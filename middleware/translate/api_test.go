package translate

import (
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect"
)

func TestWhatKindsOfUpstreamsHave(t *testing.T) {
	for _, test := range []struct {
		kind, path string
		foreign    bool
	}{
		{"penstock", "/v1/messages", true},
		{"penstock", "/v1/responses", true},
		{"penstock", "/v1/chat/completions", false},
		{"penstock", "/api/chat", true},
		{"penstock", "/v1/rerank", true},
		{"penstock", "/v1/audio/speech", true},
		{"penstock", "/tokenize", false},
		{"penstock", "/api/v1/model", false},
		{"penstock", "/completion", true},
		{"tgi", "/v1/messages", true},
		{"tgi", "/generate", false},
		{"vllm", "/v1/messages", false},
		{"vllm", "/generate", true},
		{"ollama", "/api/generate", false},
		{"ollama", "/v1/responses", false},
		{"llamacpp", "/completion", false},
		{"", "/v1/messages", false},
		{"", "/api/chat", false},
	} {
		route, ok := dialect.Classify("POST", test.path)
		if !ok || Foreign(test.kind, route.Spec) != test.foreign {
			t.Errorf("%s on %q: %v, want %v", test.path, test.kind, !test.foreign, test.foreign)
		}
	}
	for _, name := range Names() {
		if api := Named(name); api == None || !All.Has(api) || !Lacking("tgi").Has(api) || Lacking("vllm").Has(api) {
			t.Errorf("%s: %d", name, api)
		}
	}
	if Named("chat") != None {
		t.Error("a chat needs no translation")
	}
}
