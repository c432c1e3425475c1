package admintest

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Document returns the OpenAPI document.
func (s *Server) Document() map[string]any {
	s.T.Helper()
	s.documenting.Do(func() {
		recorder := httptest.NewRecorder()
		s.handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/admin/openapi.json", nil))
		if err := json.Unmarshal(recorder.Body.Bytes(), &s.document); err != nil {
			s.T.Error(err) // from any goroutine
		}
	})
	return s.document
}

// At follows names into nested objects; nil if it cannot.
func At(value any, steps ...string) any {
	for _, step := range steps {
		object, _ := value.(map[string]any)
		value = object[step]
	}
	return value
}

// conforms compares a reply of any test with the document. It knows the words of
// JSON schema that the document uses and fails on others.
func (s *Server) conforms(method, path string, r Reply) {
	s.T.Helper()
	path = s.pathOf(path)
	operation := At(s.Document(), "paths", path, strings.ToLower(method))
	if operation == nil || r.Body == "" {
		return
	}
	responses, _ := At(operation, "responses").(map[string]any)
	response, described := responses[strconv.Itoa(r.Status)], any(nil)
	if response == nil && r.Status >= 500 {
		response = responses["default"]
	}
	if name, ok := At(response, "$ref").(string); ok {
		response = At(s.document, "components", "responses", strings.TrimPrefix(name, "#/components/responses/"))
	}
	media := "application/json"
	switch content, _ := At(response, "content").(map[string]any); {
	case content["application/x-ndjson"] != nil:
		media = "application/x-ndjson"
	case content[media] == nil && content[r.Header.Get("Content-Type")] != nil:
		return // described, and not JSON
	}
	if described = At(response, "content", media, "schema"); described == nil {
		s.T.Errorf("%s %s: status %d is not described", method, path, r.Status)
		return
	}
	bodies := []string{r.Body}
	if media == "application/x-ndjson" {
		bodies = strings.Split(strings.TrimSpace(r.Body), "\n")
	}
	for _, body := range bodies {
		var value any
		if body == "" || json.Unmarshal([]byte(body), &value) != nil {
			continue
		}
		if err := validate(value, described, s.document); err != nil {
			s.T.Errorf("%s %s: the reply %s does not fit the document: %v", method, path, body, err)
		}
	}
}

// pathOf returns the described path that a request's escaped path is an instance of.
// The one with the fewest parameters counts.
func (s *Server) pathOf(escaped string) string {
	segments := segmentsOf(escaped)
	best, fewest := "", len(segments)+1
	paths, _ := s.Document()["paths"].(map[string]any)
	for path := range paths {
		parameters := 0
		same := slices.EqualFunc(segmentsOf(path), segments, func(pattern, segment string) bool {
			if strings.HasPrefix(pattern, "{") {
				parameters++
				return true
			}
			return pattern == segment
		})
		if same && parameters < fewest {
			best, fewest = path, parameters
		}
	}
	return best
}

// segmentsOf splits an escaped path; empty segments do not count.
func segmentsOf(escaped string) (segments []string) {
	for segment := range strings.SplitSeq(escaped, "/") {
		if text, err := url.PathUnescape(segment); err == nil && text != "" {
			segments = append(segments, text)
		}
	}
	return segments
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
