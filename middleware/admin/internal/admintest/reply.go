package admintest

import (
	"encoding/json"
	"net/http"
	"testing"
)

// Reply is what came back.
type Reply struct {
	t      testing.TB
	Status int
	Header http.Header
	Body   string
}

// Want stops the test if the status is another one.
func (r Reply) Want(status int) Reply {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("status %d, want %d: %s", r.Status, status, r.Body)
	}
	return r
}

// Fields returns the body as an object.
func (r Reply) Fields() map[string]any {
	r.t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.Body), &object); err != nil {
		r.t.Fatalf("%v: %s", err, r.Body)
	}
	return object
}

// Text returns a string of the body, empty if it has none of this name.
func (r Reply) Text(name string) string {
	r.t.Helper()
	text, _ := r.Fields()[name].(string)
	return text
}

// Number returns a number of the body, 0 if it has none of this name.
func (r Reply) Number(name string) float64 {
	r.t.Helper()
	n, _ := r.Fields()[name].(float64)
	return n
}

// List returns an array of the body, nil if it has none of this name.
func (r Reply) List(name string) []any {
	r.t.Helper()
	list, _ := r.Fields()[name].([]any)
	return list
}

// Object returns an object of the body, nil if it has none of this name.
func (r Reply) Object(name string) map[string]any {
	r.t.Helper()
	object, _ := r.Fields()[name].(map[string]any)
	return object
}

// ErrorCode returns the code of a native refusal.
func (r Reply) ErrorCode() string {
	r.t.Helper()
	code, _ := r.Object("error")["code"].(string)
	return code
}

// Param returns the field that a native refusal names.
func (r Reply) Param() string {
	r.t.Helper()
	param, _ := r.Object("error")["param"].(string)
	return param
}
