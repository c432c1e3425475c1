package middleware_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

func TestModelsAreListedForTheKey(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Models: []string{"b"}}, middleware.WithModels(middleware.Model{Name: "a"}, middleware.Model{Name: "b", Description: "the second"}))
	_, all := h.newKey(ledger.NewKey{}, 0)
	for key, want := range map[string]string{h.text: "b: the second", all: "a: b: the second"} {
		got := h.do("GET", "/v1/models", "", "Authorization", "Bearer "+key)
		var list struct {
			Data []struct{ ID, Description string }
		}
		if err := json.Unmarshal([]byte(got.body), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, model := range list.Data {
			names = append(names, strings.TrimSpace(model.ID+": "+model.Description))
		}
		if got.status != 200 || strings.Join(names, " ") != want {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	h.untouched()
}

func TestOneModelIsDescribedToKeysThatMayUseIt(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Models: []string{"b", "org/c"}}, middleware.WithModels(
		middleware.Model{Name: "a"}, middleware.Model{Name: "b", Description: "the second"}, middleware.Model{Name: "org/c"}))
	for path, want := range map[string]string{
		"/v1/models/b":        "b",
		"/v1/models/org%2Fc":  "org/c",
		"/v1/models/org/c":    "org/c",
		"/v1/models/a":        "", // not for this key
		"/v1/models/none":     "",
		"/v1/models/x/../b":   "",
		"/v1/models/%2e%2e":   "",
		"/v1/models/b/":       "",
		"/v1/models/":         "",
		"/v1/models/%ff":      "",
		"/v1/models/org%252F": "",
	} {
		got := h.do("GET", path, "", "Authorization", "Bearer "+h.text)
		var model struct{ ID, Object, Type, Code string }
		_ = json.Unmarshal([]byte(got.body), &model)
		if want == "" {
			if got.status != 404 || got.header.Get("X-Request-Id") == "" || !strings.Contains(got.body, `"error":{`) {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		} else if got.status != 200 || model.ID != want || model.Object != "model" || model.Type != "model" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	unknown, forbidden := h.do("GET", "/v1/models/none", "", "Authorization", "Bearer "+h.text), h.do("GET", "/v1/models/a", "", "Authorization", "Bearer "+h.text)
	if !strings.Contains(unknown.body, `"code":"model_not_found"`) || !strings.Contains(forbidden.body, `"code":"model_not_found"`) {
		t.Errorf("%s and %s", unknown.body, forbidden.body)
	}
	if got := h.do("HEAD", "/v1/models/b", "", "Authorization", "Bearer "+h.text); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
	if got := h.do("DELETE", "/v1/models/b", "", "Authorization", "Bearer "+h.text); got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE: %d %v", got.status, got.header)
	}
	h.untouched()
}

func TestTheUpstreamDescribesModelsThatOnlyItKnows(t *testing.T) {
	asked := ""
	h := build(t, func(_ http.ResponseWriter, r *http.Request) { asked = r.Method + " " + r.URL.EscapedPath() }, ledger.NewKey{})
	for path, want := range map[string]string{
		"/v1/models/org%2Fc": "GET /v1/models/org%2Fc", "/api/tags": "GET /api/tags", "/api/version": "GET /api/version",
		"/v1/models/%2e%2e/secret": "", "/v1/models/x/..%2f..%2fsecret": "", "/v1/models/..%255c..%255csecret": "", "/v1/models/x;y": "",
	} {
		asked = ""
		if got := h.do("GET", path, "", "Authorization", "Bearer "+h.text); asked != want || (got.status == 200) != (want != "") {
			t.Errorf("%s: the upstream is asked %q, the caller told %d", path, asked, got.status)
		}
	}
}

func TestClientsOfOllamaFindTheirModels(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Models: []string{"b"}}, middleware.WithModels(middleware.Model{Name: "a"}, middleware.Model{Name: "b", Description: "the second"}))
	for _, test := range []struct{ method, path, body, want string }{
		{"GET", "/api/tags", "", `"name":"b","model":"b"`},
		{"GET", "/api/version", "", `"version":"0.`},
		{"POST", "/api/show", `{"model":"b"}`, `"capabilities":["completion"]`},
		{"POST", "/api/show", `{"name":"b","model":"b","verbose":true}`, `"the second"`},
		{"POST", "/api/show", `{"model":"a"}`, `"code":"model_not_found"`},
		{"POST", "/api/show", `{"model":"a","name":"b"}`, `must be the same`},
		{"POST", "/api/show", `{"model":["b"]}`, `must be a string`},
		{"POST", "/api/show", `{}`, `"param":"model"`},
		{"POST", "/api/show", `nothing`, `must be a JSON object`},
		{"POST", "/api/show", `{"model":"` + strings.Repeat("x", 70_000) + `"}`, `larger than 65536 bytes`},
		{"GET", "/api/show", "", `method_not_allowed`},
	} {
		got := h.do(test.method, test.path, test.body, "Authorization", "Bearer "+h.text)
		if !strings.Contains(got.body, test.want) || strings.Contains(got.body, `"name":"a"`) {
			t.Errorf("%s %s: %d %s", test.path, test.body, got.status, got.body)
		}
	}
	if got := h.do("GET", "/api/tags", ""); got.status != 401 {
		t.Errorf("without a key: %d", got.status)
	}
	h.untouched()
}
