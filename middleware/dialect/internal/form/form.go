// Package form reads forms with files (multipart/form-data, RFC 7578) without copying
// them. It takes only what every parser reads in the same way: what one would take for
// a field, or for the end of a file, and another would not, is refused.
package form

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"regexp"
	"strings"
)

const (
	// MaxParts is how many parts a form may have.
	MaxParts = 64
	// MaxHeader limits the header of a part, in bytes.
	MaxHeader = 4 << 10
	// MaxValue limits a field that is no file, in bytes.
	MaxValue = 64 << 10
)

// What may be wrong with a form.
var (
	ErrType      = errors.New("the body must be multipart/form-data with a boundary")
	ErrSyntax    = errors.New("the body is not a form of its boundary")
	ErrParts     = fmt.Errorf("the form has more than %d parts", MaxParts)
	ErrHeader    = errors.New("a part of the form has a header that is not that of a form")
	ErrValue     = fmt.Errorf("a field of the form is longer than %d bytes", MaxValue)
	ErrAmbiguous = errors.New("a part of the form holds the form's boundary")
)

// Part is a part of a form.
type Part struct {
	Name string
	File bool // it has the name of a file
	// Start and End are where its content stands in the body.
	Start, End int
}

// Boundary returns the boundary that a Content-Type names.
func Boundary(contentType string) (string, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	boundary := parameters["boundary"]
	if err != nil || kind != "multipart/form-data" || !boundaryText.MatchString(boundary) || strings.Contains(contentType, "*") {
		return "", ErrType
	}
	return boundary, nil
}

var (
	boundaryText = regexp.MustCompile(`^[0-9A-Za-z'()+_,./:=?-]{1,70}$`)
	fieldName    = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}(\[[0-9A-Za-z_]{0,64}\])*$`)
)

// Read returns the parts of a body.
func Read(body []byte, boundary string) ([]Part, error) {
	delimiter := []byte("--" + boundary)
	if !bytes.HasPrefix(body, delimiter) {
		return nil, ErrSyntax // some parsers read on from what stands before, others do not
	}
	var parts []Part
	for at := len(delimiter); ; {
		rest := body[at:]
		switch {
		case bytes.HasPrefix(rest, []byte("--")):
			if tail := rest[2:]; len(parts) == 0 || len(tail) > 0 && string(tail) != "\r\n" {
				return nil, ErrSyntax
			}
			return parts, nil
		case !bytes.HasPrefix(rest, []byte("\r\n")):
			return nil, ErrSyntax
		case len(parts) == MaxParts:
			return nil, ErrParts
		}
		part, err := readHeader(body, at+2)
		if err != nil {
			return nil, err
		}
		found := bytes.Index(body[part.Start:], delimiter)
		if found < 0 {
			return nil, ErrSyntax
		}
		at = part.Start + found + len(delimiter)
		part.End = part.Start + found - 2
		if part.End < part.Start || string(body[part.End:part.End+2]) != "\r\n" {
			return nil, ErrAmbiguous
		}
		if !part.File && part.End-part.Start > MaxValue {
			return nil, ErrValue
		}
		parts = append(parts, part)
	}
}

// readHeader reads the header of a part.
func readHeader(body []byte, at int) (Part, error) {
	head := body[at:min(len(body), at+MaxHeader)]
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 {
		return Part{}, ErrHeader
	}
	part := Part{Start: at + end + len("\r\n\r\n")}
	seen := map[string]bool{}
	for line := range strings.SplitSeq(string(head[:end]), "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if !ok || seen[name] || strings.ContainsAny(line, "\r\n\x00") {
			return Part{}, ErrHeader
		}
		seen[name] = true
		value = strings.Trim(value, " \t")
		switch name {
		case "content-disposition":
			if err := part.named(value); err != nil {
				return Part{}, err
			}
		case "content-type", "content-length":
		case "content-transfer-encoding":
			switch strings.ToLower(value) {
			case "binary", "8bit", "7bit":
			default:
				return Part{}, ErrHeader // no server undoes them all
			}
		default:
			return Part{}, ErrHeader
		}
	}
	if part.Name == "" {
		return Part{}, ErrHeader
	}
	return part, nil
}

// named reads the names that a part has.
func (p *Part) named(disposition string) error {
	kind, parameters, err := mime.ParseMediaType(disposition)
	if err != nil || kind != "form-data" {
		return ErrHeader
	}
	p.Name = parameters["name"]
	_, p.File = parameters["filename"]
	// The name must stand there as it is, and once: parsers differ in which of two they
	// take, and in what they make of one that is encoded.
	lower := strings.ToLower(disposition)
	if !fieldName.MatchString(p.Name) || !plainName.MatchString(lower) || len(anyName.FindAllString(lower, 2)) != 1 {
		return ErrHeader
	}
	return nil
}

var (
	plainName = regexp.MustCompile(`^form-data;[ \t]*name="?[0-9a-z_.\[\]-]+"?[ \t]*(;|$)`)
	// anyName finds the parameter, but not at the end of another's name. A file may have
	// a name that looks like it: such a file is refused.
	anyName = regexp.MustCompile(`(^|[^a-z])name[ \t]*\*?[0-9]*\*?[ \t]*=`)
)
