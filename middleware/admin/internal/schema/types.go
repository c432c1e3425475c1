package schema

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// Types describes the Go types that are sent. Named structs become
// components of the document.
type Types struct {
	Components Schema // filled by Of
	Prefix     string // of the names of components
}

// Of describes a type. A nil type may be anything.
func (t *Types) Of(kind reflect.Type) Schema {
	switch {
	case kind == reflect.TypeFor[time.Time]():
		return Schema{"type": "string", "format": "date-time"}
	case kind != nil && kind.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return Schema{"type": "string"}
	case kind == nil || kind.Kind() == reflect.Interface:
		return Schema{}
	}
	switch kind.Kind() {
	case reflect.Pointer:
		return Nullable(t.Of(kind.Elem()))
	case reflect.Slice:
		return Schema{"type": "array", "items": t.Of(kind.Elem())}
	case reflect.Map:
		return Schema{"type": "object", "additionalProperties": t.Of(kind.Elem())}
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.String:
		return Schema{"type": "string"}
	case reflect.Struct:
		return t.structure(kind)
	default:
		return Schema{"type": "integer"}
	}
}

// structure describes a struct: by a reference to a component if it has a name.
func (t *Types) structure(kind reflect.Type) Schema {
	if kind.Name() == "" {
		return t.object(kind)
	}
	name := t.Prefix + strings.TrimSuffix(strings.ToUpper(kind.Name()[:1])+kind.Name()[1:], "View")
	if _, done := t.Components[name]; !done {
		t.Components[name] = nil // ends recursion
		t.Components[name] = t.object(kind)
	}
	return Schema{"$ref": "#/components/schemas/" + name}
}

// object describes the members of a struct as encoding/json writes them.
func (t *Types) object(kind reflect.Type) Schema {
	properties, required := Schema{}, []string{}
	for _, field := range reflect.VisibleFields(kind) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "" {
			continue
		}
		properties[name] = t.Of(field.Type)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return Schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
