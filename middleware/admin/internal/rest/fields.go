package rest

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

	"github.com/penstockhq/penstock/internal/clip"
)

// maxBody bounds the body of an administrative request in bytes. The largest
// honest one is a key with a few hundred model limits.
const maxBody = 256 << 10

// MaxTexts is the maximum length of an array of strings, which are compared with each
// other.
const MaxTexts = 1000

// maxWord bounds strings of which few are allowed or whose form is fixed.
const maxWord = 256

// Fields reads the members of a JSON object one by one. It keeps the first
// problem that it meets and names the member by its full path, distinguishes absent
// from null, and knows at the end which members the handler did not ask for. Decoding
// into structs does none of these for nested objects.
type Fields struct {
	path    string // of this object, with a dot at its end unless it is the top
	members map[string]json.RawMessage
	failure *failure
}

// failure is shared by an object and the objects inside it.
type failure struct{ first error }

// readBody reads the body of a request, up to maxBody.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &Problem{
				Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
				Message: fmt.Sprintf("the body exceeds %d bytes", maxBody),
			}
		}
		return nil, &Problem{
			Status: http.StatusBadRequest, Code: "body_unreadable", Message: "the body could not be read", Cause: err,
		}
	}
	return body, nil
}

// ParseFields reads a text, which must be one JSON object.
func ParseFields(body []byte) (*Fields, error) {
	if !utf8.Valid(body) {
		return nil, badJSON("the body is not UTF-8")
	}
	f := &Fields{failure: new(failure)}
	f.members = f.split(body)
	return f, f.failure.first
}

func badJSON(message string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: "invalid_json", Message: message}
}

// split takes an object apart. A member that occurs twice is refused, because parsers
// differ in which one they use.
func (f *Fields) split(object []byte) map[string]json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(object))
	opening, err := decoder.Token()
	if err != nil || opening != json.Delim('{') {
		if f.path != "" {
			f.Fail(Invalid(f.path[:len(f.path)-1], "not a JSON object"))
			return nil
		}
		f.Fail(badJSON("the body is not a JSON object"))
		return nil
	}
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			f.Fail(badJSON("the body is not valid JSON: " + err.Error()))
			return nil
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			f.Fail(badJSON("the body is not valid JSON: " + err.Error()))
			return nil
		}
		if _, twice := members[name]; twice {
			f.Refuse(name, "given twice")
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		f.Fail(badJSON("the body is not valid JSON: " + err.Error()))
	} else if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		f.Fail(badJSON("the body has more than one JSON value"))
	}
	return members
}

// Fail keeps the first problem.
func (f *Fields) Fail(err error) {
	if f.failure.first == nil {
		f.failure.first = err
	}
}

// Refuse says that a member cannot be accepted.
func (f *Fields) Refuse(name, format string, values ...any) {
	f.Fail(Invalid(f.path+clip.Text(name), format, values...))
}

// take returns a member and removes it. present is true for null as well.
func (f *Fields) take(name string) (value json.RawMessage, present bool) {
	value, present = f.members[name]
	delete(f.members, name)
	return value, present
}

// value returns a member that is there and not null.
func (f *Fields) value(name string) (json.RawMessage, bool) {
	value, present := f.take(name)
	return value, present && string(value) != "null"
}

// Has reports whether a member is there and was not read yet; null counts.
func (f *Fields) Has(name string) bool {
	_, present := f.members[name]
	return present
}

// IsNull reports whether a member is there and null, and leaves it there.
func (f *Fields) IsNull(name string) bool { return string(f.members[name]) == "null" }

// Text reads a string of at most limit bytes.
func (f *Fields) Text(name string, limit int) string {
	raw, present := f.value(name)
	if !present {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		f.Refuse(name, "%s is not a string", Shown(raw))
		return ""
	}
	if len(text) > limit {
		f.Refuse(name, "%d bytes long, the maximum is %d", len(text), limit)
	}
	return text
}

// Word reads a string that must be one of a few. Absent and null mean absent.
func (f *Fields) Word(name, absent string, allowed ...string) string {
	if !f.Has(name) || f.IsNull(name) {
		f.take(name)
		return absent
	}
	text := f.Text(name, maxWord)
	if !slices.Contains(allowed, text) {
		f.Refuse(name, "%s is not one of %v", Shown(text), allowed)
		return absent
	}
	return text
}

// Flag reads true or false.
func (f *Fields) Flag(name string) bool {
	raw, present := f.value(name)
	if !present {
		return false
	}
	if string(raw) != "true" && string(raw) != "false" {
		f.Refuse(name, "%s is not true or false", Shown(raw))
	}
	return string(raw) == "true"
}

// Integer reads a whole number from low to high. present is false if the member
// is absent or null.
func (f *Fields) Integer(name string, low, high int64) (number int64, present bool) {
	raw, present := f.value(name)
	if !present {
		return 0, false
	}
	number, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || number < low || number > high {
		f.Refuse(name, "%s is not a whole number from %d to %d", Shown(raw), low, high)
		return 0, false
	}
	return number, true
}

// Texts reads an array of at most MaxTexts different strings.
func (f *Fields) Texts(name string) []string {
	raw, present := f.value(name)
	if !present {
		return nil
	}
	var texts []string
	if json.Unmarshal(raw, &texts) != nil {
		f.Refuse(name, "not an array of strings")
		return nil
	}
	if len(texts) > MaxTexts {
		f.Refuse(name, "%d entries, the maximum is %d", len(texts), MaxTexts)
		return nil
	}
	for i, text := range texts {
		if slices.Contains(texts[:i], text) {
			f.Refuse(fmt.Sprintf("%s.%d", name, i), "%s given twice", Shown(text))
		}
	}
	return texts
}

// Object reads a member that is an object; nil if it is absent or null.
func (f *Fields) Object(name string) *Fields {
	raw, present := f.value(name)
	if !present {
		return nil
	}
	return f.inner(name, raw)
}

// Objects reads an array of at most count objects.
func (f *Fields) Objects(name string, count int) []*Fields {
	raw, present := f.value(name)
	if !present {
		return nil
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		f.Refuse(name, "not an array of objects")
		return nil
	}
	if len(elements) > count {
		f.Refuse(name, "%d entries, the maximum is %d", len(elements), count)
		return nil
	}
	objects := make([]*Fields, len(elements))
	for i, element := range elements {
		objects[i] = f.inner(fmt.Sprintf("%s.%d", name, i), element)
	}
	return objects
}

func (f *Fields) inner(name string, raw json.RawMessage) *Fields {
	inner := f.Absent(name)
	inner.members = inner.split(raw)
	return inner
}

// Absent returns an object without members that stands for a member, so that what
// comes in its place can be refused by name.
func (f *Fields) Absent(name string) *Fields {
	return &Fields{path: f.path + name + ".", failure: f.failure}
}

// TextMap reads a flat object of strings of at most limit bytes each; nil if it is
// absent or null.
func (f *Fields) TextMap(name string, limit int) map[string]string {
	object := f.Object(name)
	if object == nil {
		return nil
	}
	texts := make(map[string]string, len(object.members))
	for name := range object.members {
		if object.IsNull(name) {
			object.Refuse(name, "null is not a string")
		}
		texts[name] = object.Text(name, limit)
	}
	return texts
}

// Done ends a strict read: a member that was not asked for is a mistake of the
// caller's, and ignoring it would hide that.
func (f *Fields) Done() {
	if len(f.members) == 0 {
		return
	}
	names := make([]string, 0, len(f.members))
	for name := range f.members {
		names = append(names, name)
	}
	param := f.path + clip.Text(slices.Min(names))
	f.Fail(&Problem{
		Status: http.StatusBadRequest, Code: "unknown_field", Param: param, Message: param + ": unknown field",
	})
}

// Err returns the first problem of this object and those inside it.
func (f *Fields) Err() error { return f.failure.first }
