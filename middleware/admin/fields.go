package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxBody bounds the body of an administrative request in bytes. The largest
// honest one is a key with a few hundred model limits.
const maxBody = 256 << 10

// maxTexts bounds the strings of an array, which are compared with each other.
const maxTexts = 1000

// fields reads the members of a JSON object one by one. It keeps the first
// problem that it meets and names the member by its full path, tells absent
// from null, and knows at the end which members nobody asked for. Struct
// decoding does none of these for nested objects.
type fields struct {
	path    string // of this object, with a dot at its end unless it is the top
	members map[string]json.RawMessage
	failure *failure
}

// failure is shared by an object and the objects inside it.
type failure struct{ first error }

// readFields reads the body of a request, which must be one JSON object.
func readFields(w http.ResponseWriter, r *http.Request) (*fields, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return parseFields(body)
}

// readOptionalFields reads a body that may be absent. The length does not tell:
// it is unknown in HTTP/3 and with chunks.
func readOptionalFields(w http.ResponseWriter, r *http.Request) (*fields, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	return parseFields(body)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &problem{
				status: http.StatusRequestEntityTooLarge, code: "body_too_large",
				message: fmt.Sprintf("the body exceeds %d bytes", maxBody),
			}
		}
		return nil, &problem{status: http.StatusBadRequest, code: "body_unreadable", message: "the body could not be read", cause: err}
	}
	return body, nil
}

func parseFields(body []byte) (*fields, error) {
	if !utf8.Valid(body) {
		return nil, badJSON("the body is not UTF-8")
	}
	f := &fields{failure: new(failure)}
	f.members = f.split(body)
	return f, f.failure.first
}

func badJSON(message string) *problem {
	return &problem{status: http.StatusBadRequest, code: "invalid_json", message: message}
}

// split takes an object apart. A member that occurs twice is refused: which one
// counts would depend on the reader.
func (f *fields) split(object []byte) map[string]json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(object))
	opening, err := decoder.Token()
	if err != nil || opening != json.Delim('{') {
		if f.path != "" {
			f.fail(invalid(f.path[:len(f.path)-1], "not a JSON object"))
			return nil
		}
		f.fail(badJSON("the body is not a JSON object"))
		return nil
	}
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			f.fail(badJSON("the body is not valid JSON: " + err.Error()))
			return nil
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			f.fail(badJSON("the body is not valid JSON: " + err.Error()))
			return nil
		}
		if _, twice := members[name]; twice {
			f.refuse(name, "given twice")
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		f.fail(badJSON("the body is not valid JSON: " + err.Error()))
	} else if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		f.fail(badJSON("the body has more than one JSON value"))
	}
	return members
}

// fail keeps the first problem.
func (f *fields) fail(err error) {
	if f.failure.first == nil {
		f.failure.first = err
	}
}

// refuse says that a member can not be accepted.
func (f *fields) refuse(name, format string, values ...any) {
	f.fail(invalid(f.path+clip(name), format, values...))
}

// take returns a member and strikes it off. present is set for null as well.
func (f *fields) take(name string) (value json.RawMessage, present bool) {
	value, present = f.members[name]
	delete(f.members, name)
	return value, present
}

// value returns a member that is there and not null.
func (f *fields) value(name string) (json.RawMessage, bool) {
	value, present := f.take(name)
	return value, present && string(value) != "null"
}

// has tells whether a member is there and not yet taken; null counts.
func (f *fields) has(name string) bool {
	_, present := f.members[name]
	return present
}

// isNull tells whether a member is there and null, and leaves it there.
func (f *fields) isNull(name string) bool { return string(f.members[name]) == "null" }

// text reads a string of at most limit bytes.
func (f *fields) text(name string, limit int) string {
	raw, present := f.value(name)
	if !present {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		f.refuse(name, "%s is not a string", shown(raw))
		return ""
	}
	if len(text) > limit {
		f.refuse(name, "%d bytes long, at most %d are allowed", len(text), limit)
	}
	return text
}

// word reads a string that must be one of a few. Absent and null mean absent.
func (f *fields) word(name, absent string, allowed ...string) string {
	if !f.has(name) || f.isNull(name) {
		f.take(name)
		return absent
	}
	text := f.text(name, maxName)
	if !slices.Contains(allowed, text) {
		f.refuse(name, "%s is not one of %v", shown(text), allowed)
		return absent
	}
	return text
}

// flag reads true or false.
func (f *fields) flag(name string) bool {
	raw, present := f.value(name)
	if !present {
		return false
	}
	if string(raw) != "true" && string(raw) != "false" {
		f.refuse(name, "%s is not true or false", shown(raw))
	}
	return string(raw) == "true"
}

// integer reads a whole number from low to high. present is false if the member
// is absent or null.
func (f *fields) integer(name string, low, high int64) (number int64, present bool) {
	raw, present := f.value(name)
	if !present {
		return 0, false
	}
	number, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || number < low || number > high {
		f.refuse(name, "%s is not a whole number from %d to %d", shown(raw), low, high)
		return 0, false
	}
	return number, true
}

// texts reads an array of at most maxTexts different strings.
func (f *fields) texts(name string) []string {
	raw, present := f.value(name)
	if !present {
		return nil
	}
	var texts []string
	if json.Unmarshal(raw, &texts) != nil {
		f.refuse(name, "not an array of strings")
		return nil
	}
	if len(texts) > maxTexts {
		f.refuse(name, "%d entries, at most %d are allowed", len(texts), maxTexts)
		return nil
	}
	for i, text := range texts {
		if slices.Contains(texts[:i], text) {
			f.refuse(fmt.Sprintf("%s.%d", name, i), "%s given twice", shown(text))
		}
	}
	return texts
}

// object reads a member that is an object; nil if it is absent or null.
func (f *fields) object(name string) *fields {
	raw, present := f.value(name)
	if !present {
		return nil
	}
	return f.inner(name, raw)
}

// objects reads an array of at most count objects.
func (f *fields) objects(name string, count int) []*fields {
	raw, present := f.value(name)
	if !present {
		return nil
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		f.refuse(name, "not an array of objects")
		return nil
	}
	if len(elements) > count {
		f.refuse(name, "%d entries, at most %d are allowed", len(elements), count)
		return nil
	}
	objects := make([]*fields, len(elements))
	for i, element := range elements {
		objects[i] = f.inner(fmt.Sprintf("%s.%d", name, i), element)
	}
	return objects
}

func (f *fields) inner(name string, raw json.RawMessage) *fields {
	inner := &fields{path: f.path + name + ".", failure: f.failure}
	inner.members = inner.split(raw)
	return inner
}

// done ends a strict read: a member that was not asked for is a mistake of the
// caller, and staying silent would hide it.
func (f *fields) done() {
	if len(f.members) == 0 {
		return
	}
	names := make([]string, 0, len(f.members))
	for name := range f.members {
		names = append(names, name)
	}
	param := f.path + clip(slices.Min(names))
	f.fail(&problem{
		status: http.StatusBadRequest, code: "unknown_field", param: param, message: param + ": unknown field",
	})
}

// err returns the first problem of this object and those inside it.
func (f *fields) err() error { return f.failure.first }
