package form

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// text writes a form in short: | ends a line.
func text(form string) []byte { return []byte(strings.ReplaceAll(form, "|", "\r\n")) }

func TestForms(t *testing.T) {
	const model, file = `--b|Content-Disposition: form-data; name="model"||m|`, `--b|Content-Disposition: form-data; name="file"; filename="a.wav"|Content-Type: audio/wav||xyz|`
	for name, test := range map[string]struct {
		body string
		want string // names and contents
		err  error
	}{
		"a field and a file":         {model + file + "--b--|", "model=m file:xyz", nil},
		"the file first":             {file + model + "--b--", "file:xyz model=m", nil},
		"no quotes":                  {"--b|content-disposition:form-data;name=model||m|--b--|", "model=m", nil},
		"an empty field":             {`--b|Content-Disposition: form-data; name="prompt"||` + "|--b--|", "prompt=", nil},
		"a list":                     {`--b|Content-Disposition: form-data; name="include[]"||x|--b--|`, "include[]=x", nil},
		"a file's name beyond ASCII": {`--b|Content-Disposition: form-data; name="file"; filename*=UTF-8''%C3%A4.wav||x|--b--|`, "file:x", nil},
		"a boundary in a file":       {strings.Replace(file, "xyz", "x--bz", 1) + "--b--|", "", ErrAmbiguous},
		"a bare line feed":           {strings.Replace(file, "xyz", "x\n--b\nz", 1) + "--b--|", "", ErrAmbiguous},
		"a longer boundary":          {strings.Replace(file, "xyz", "x|--bb|", 1) + "--b--|", "", ErrSyntax},
		"space after the boundary":   {strings.Replace(model, "--b|", "--b |", 1) + "--b--|", "", ErrSyntax},
		"something before":           {"hello|" + model + "--b--|", "", ErrSyntax},
		"something behind":           {model + "--b--|" + model, "", ErrSyntax},
		"no end":                     {model + file, "", ErrSyntax},
		"nothing":                    {"--b--|", "", ErrSyntax},
		"no body":                    {"", "", ErrSyntax},
		"two names":                  {`--b|Content-Disposition: form-data; name="a"; name="model"||m|--b--|`, "", ErrHeader},
		"an encoded name":            {`--b|Content-Disposition: form-data; name="a"; name*=UTF-8''model||m|--b--|`, "", ErrHeader},
		"a continued name":           {`--b|Content-Disposition: form-data; name*0="mo"; name*1="del"||m|--b--|`, "", ErrHeader},
		"an escaped name":            {`--b|Content-Disposition: form-data; name="mo\del"||m|--b--|`, "", ErrHeader},
		"two dispositions":           {`--b|Content-Disposition: form-data; name="a"|Content-Disposition: form-data; name="model"||m|--b--|`, "", ErrHeader},
		"a folded header":            {`--b|Content-Disposition: form-data;| name="model"||m|--b--|`, "", ErrHeader},
		"no name":                    {`--b|Content-Disposition: form-data||m|--b--|`, "", ErrHeader},
		"no disposition":             {`--b|Content-Type: text/plain||m|--b--|`, "", ErrHeader},
		"base64":                     {`--b|Content-Disposition: form-data; name="model"|Content-Transfer-Encoding: base64||bQ==|--b--|`, "", ErrHeader},
		"an attachment":              {`--b|Content-Disposition: attachment; name="model"||m|--b--|`, "", ErrHeader},
		"an endless header":          {`--b|Content-Type: ` + strings.Repeat("x", MaxHeader) + `||m|--b--|`, "", ErrHeader},
		"a long field":               {`--b|Content-Disposition: form-data; name="prompt"||` + strings.Repeat("x", MaxValue+1) + `|--b--|`, "", ErrValue},
		"too many parts":             {strings.Repeat(model, MaxParts+1) + "--b--|", "", ErrParts},
	} {
		body := text(test.body)
		parts, err := Read(body, "b")
		var got []string
		for _, part := range parts {
			sign := "="
			if part.File {
				sign = ":"
			}
			got = append(got, part.Name+sign+string(body[part.Start:part.End]))
		}
		if !errors.Is(err, test.err) || strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestBoundaries(t *testing.T) {
	for contentType, want := range map[string]string{
		`multipart/form-data; boundary=----x1`:                     "----x1",
		`multipart/form-data; boundary="a b"`:                      "",
		`multipart/form-data; boundary=a; boundary=b`:              "",
		`multipart/form-data; boundary*=utf-8''a`:                  "",
		`multipart/form-data`:                                      "",
		`multipart/mixed; boundary=a`:                              "",
		`application/json`:                                         "",
		`multipart/form-data; boundary=` + strings.Repeat("a", 71): "",
		``: "",
	} {
		if got, err := Boundary(contentType); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", contentType, got, err)
		}
	}
}

// What is read here, Go's own parser reads in the same way.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`--b|Content-Disposition: form-data; name="model"||m|--b--|`,
		`--b|Content-Disposition: form-data; name="file"; filename="a.wav"|Content-Type: audio/wav||xyz|--b|Content-Disposition: form-data; name=x||y|--b--`,
	} {
		f.Add(text(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, err := Read(body, "b")
		if err != nil {
			return
		}
		reader := multipart.NewReader(bytes.NewReader(body), "b")
		for _, part := range parts {
			other, err := reader.NextRawPart()
			if err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			content, err := io.ReadAll(other)
			if err != nil || other.FormName() != part.Name || !bytes.Equal(content, body[part.Start:part.End]) {
				t.Fatalf("%q: %q is %q to others: %v", part.Name, body[part.Start:part.End], content, err)
			}
		}
		if _, err := reader.NextRawPart(); err != io.EOF {
			t.Fatalf("%q: there is more: %v", body, err)
		}
	})
}
