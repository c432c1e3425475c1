package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/alerts"
)

// conforms compares a reply of any test with the document. It knows the words of
// JSON schema that the document uses and fails on others.
func (s *server) conforms(method, path string, r reply) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	route, _, missing := s.handler.find(request)
	if missing != nil || r.body == "" {
		return
	}
	var document map[string]any
	if err := json.Unmarshal(s.handler.document, &document); err != nil {
		s.t.Fatal(err)
	}
	at := func(value any, steps ...string) any {
		for _, step := range steps {
			object, _ := value.(map[string]any)
			value = object[step]
		}
		return value
	}
	operation := at(document, "paths", route.path, strings.ToLower(route.method))
	response, media := "default", "application/json"
	if r.status/100 == 2 {
		responses, _ := at(operation, "responses").(map[string]any)
		for status := range responses {
			if status != "default" {
				response = status
			}
		}
		if content, _ := at(operation, "responses", response, "content").(map[string]any); content["application/x-ndjson"] != nil {
			media = "application/x-ndjson"
		}
	}
	described := at(operation, "responses", response, "content", media, "schema")
	if described == nil {
		s.t.Errorf("%s %s is not described", route.method, route.path)
		return
	}
	bodies := []string{r.body}
	if media == "application/x-ndjson" {
		bodies = strings.Split(strings.TrimSpace(r.body), "\n")
	}
	for _, body := range bodies {
		var value any
		if body == "" || json.Unmarshal([]byte(body), &value) != nil {
			continue
		}
		if err := validate(value, described, document); err != nil {
			s.t.Errorf("%s %s: the reply %s does not fit the document: %v", route.method, route.path, body, err)
		}
	}
}

func validate(value, described any, document map[string]any) error {
	rules := described.(map[string]any)
	for word, rule := range rules {
		var err error
		switch word {
		case "$ref":
			name := strings.TrimPrefix(rule.(string), "#/components/schemas/")
			err = validate(value, document["components"].(map[string]any)["schemas"].(map[string]any)[name], document)
		case "anyOf":
			err = fmt.Errorf("%v fits none of %v", value, rule)
			for _, choice := range rule.([]any) {
				if validate(value, choice, document) == nil {
					err = nil
				}
			}
		case "type":
			if got := typeOf(value); got != rule && !(got == "integer" && rule == "number") {
				err = fmt.Errorf("%v is %s, not %v", value, got, rule)
			}
		case "items":
			list, _ := value.([]any)
			for i, item := range list {
				if err := validate(item, rule, document); err != nil {
					return fmt.Errorf("%d: %w", i, err)
				}
			}
		case "required":
			object, _ := value.(map[string]any)
			for _, name := range rule.([]any) {
				if _, present := object[name.(string)]; !present {
					err = fmt.Errorf("%v is missing", name)
				}
			}
		case "properties", "additionalProperties":
			err = validateMembers(value, rules, document)
		case "format", "enum", "pattern", "minimum", "maximum", "default":
		default:
			err = fmt.Errorf("the document uses %q", word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func validateMembers(value any, rules, document map[string]any) error {
	object, _ := value.(map[string]any)
	properties, _ := rules["properties"].(map[string]any)
	for name, member := range object {
		described := properties[name]
		if described == nil {
			described = rules["additionalProperties"]
		}
		switch described := described.(type) {
		case map[string]any:
			if err := validate(member, described, document); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case bool:
			return fmt.Errorf("%s is not described", name)
		}
	}
	return nil
}

func typeOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if value == float64(int64(value)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

func TestEveryRouteIsDescribedAndNothingElse(t *testing.T) {
	s := newServer(t, WithAlerts(new(alerts.Monitor)))
	routes := map[string]bool{}
	for i := range s.handler.routes {
		routes[s.handler.routes[i].method+" "+s.handler.routes[i].path] = true
	}
	for name, operation := range operations {
		if !routes[name] || operation.summary == "" || operation.reply == nil {
			t.Errorf("%s is described (%q) but not served", name, operation.summary)
		}
	}
	for name := range routes {
		if _, described := operations[name]; !described {
			t.Errorf("%s is served but not described", name)
		}
	}
	got := s.call("GET", "/admin/openapi.json", "", "").want(200)
	if got.text("openapi") != "3.1.0" || len(got.object("paths")) < 20 || got.header.Get("Content-Type") != "application/json" {
		t.Error(got.body[:100])
	}
}

// Every member of a described request is known to its handler, and no handler
// takes one that is not described.
func TestRequestsAreReadAsTheyAreDescribed(t *testing.T) {
	s := newServer(t)
	id := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a"}`).want(201).text("id")
	for name, operation := range operations {
		if operation.request == nil || !strings.HasPrefix(name, "POST /admin") && !strings.HasPrefix(name, "PATCH /admin") {
			continue
		}
		method, path, _ := strings.Cut(name, " ")
		path = strings.ReplaceAll(path, "{id}", id)
		if strings.Contains(path, "accounts/") {
			path = "/admin/v1/accounts/default/topups"
		}
		valid := map[string]any{"name": "a", "key": "x", "id": "acme", "amount": 1, "version": 1}
		members := operation.request["properties"].(map[string]schema)
		for _, member := range append(sortedNames(members), "undescribed", "Name", "key_id") {
			body := map[string]any{}
			for name, value := range valid {
				if members[name] != nil {
					body[name] = value
				}
			}
			body[member] = map[string]any{"x": []int{7}} // of a wrong type, whatever the member
			encoded, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			got := s.call(method, path, s.admin, string(encoded), "Idempotency-Key", "k").want(400)
			unknown := got.errorCode() == "unknown_field" && got.object("error")["param"] == member
			if _, described := members[member]; described == unknown {
				t.Errorf("%s: member %s, described %v: %s", name, member, described, got.body)
			}
		}
	}
}
