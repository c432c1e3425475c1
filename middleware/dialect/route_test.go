package dialect

import "testing"

func TestPathsAreKnownOrNot(t *testing.T) {
	for path, want := range map[string]Route{
		"/api/v2/execute/acme%2Ftiny%2Facme": {&executeSpec, "acme/tiny/acme"},
		"//api/v1/execute/66f0c1":            {&startSpec, "66f0c1"},
	} {
		if got, ok := Classify("POST", path); !ok || got != want {
			t.Errorf("%s: %+v, %v", path, got, ok)
		}
	}
	for _, path := range []string{
		"/v1/chat/completions/", "//v1/chat/completions", "/v1/Chat/completions", "/api/v2/execute/", "/api/v2/execute/a/b",
		"/api/v2/execute/%zz", "/v1/files", "/", "", "/api/v2/execute/%ff",
	} {
		if got, ok := Classify("POST", path); ok {
			t.Errorf("%s is taken for %+v", path, got)
		}
	}
	if _, ok := Classify("GET", "/v1/chat/completions"); ok {
		t.Error("GET of a POST path is known")
	}
	if route, ok := Classify("HEAD", "/v1/models"); !ok || route.Spec != &modelsSpec {
		t.Error("HEAD of a GET path is not known")
	}
}
