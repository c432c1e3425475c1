package admin

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// schema is a JSON schema.
type schema = map[string]any

// operation describes a route in the document.
type operation struct {
	summary string
	query   map[string]schema
	request schema // of the body; nil: it takes none
	status  int    // of success
	reply   any    // a value of the type that is sent
	lines   bool   // the reply is one JSON value a line
}

// describe builds the OpenAPI document of the routes that are there. Replies are
// described by the types that are sent, so that the two can not drift apart.
func (h *Handler) describe() []byte {
	components := schema{}
	paths := map[string]schema{}
	for i := range h.routes {
		route := &h.routes[i]
		item := paths[route.path]
		if item == nil {
			item = schema{}
			paths[route.path] = item
		}
		item[strings.ToLower(route.method)] = describeRoute(route, components)
	}
	document, err := json.MarshalIndent(schema{
		"openapi": "3.1.0",
		"info": schema{
			"title": "Penstock administration", "version": "1",
			"description": "Keys, accounts and usage. Amounts are credits as decimal strings; fields that end in _micro are the same in millionths.",
		},
		"paths": paths,
		"components": schema{
			"schemas": components,
			"securitySchemes": schema{
				"bearer": schema{"type": "http", "scheme": "bearer"},
				"header": schema{"type": "apiKey", "in": "header", "name": "x-api-key"},
			},
		},
	}, "", "  ")
	if err != nil {
		panic("admin: describe the API: " + err.Error()) // maps and texts always encode
	}
	return document
}

func describeRoute(route *route, components schema) schema {
	known := operations[route.method+" "+route.path]
	failure := any(nativeError{})
	if route.dialect() == aixplain {
		failure = aixplainError{}
	}
	media := "application/json"
	if known.lines {
		media = "application/x-ndjson"
	}
	described := schema{
		"summary": known.summary,
		"responses": schema{
			strconv.Itoa(cmp.Or(known.status, http.StatusOK)): schema{"description": "success", "content": schema{media: schema{"schema": schemaOf(reflect.TypeOf(known.reply), components)}}},
			"default": schema{"description": "refusal", "content": schema{"application/json": schema{"schema": schemaOf(reflect.TypeOf(failure), components)}}},
		},
	}
	if parameters := describeParameters(route.path, known.query); len(parameters) > 0 {
		described["parameters"] = parameters
	}
	if known.request != nil {
		described["requestBody"] = schema{"required": true, "content": schema{"application/json": schema{"schema": known.request}}}
	}
	if route.access != accessAnyone {
		described["security"] = []any{schema{"bearer": []any{}}, schema{"header": []any{}}}
	}
	return described
}

func describeParameters(path string, query map[string]schema) (parameters []any) {
	for segment := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(segment, "{") {
			parameters = append(parameters, schema{"name": strings.Trim(segment, "{}"), "in": "path", "required": true, "schema": text})
		}
	}
	for _, name := range sortedNames(query) {
		in := "query"
		if name == "Idempotency-Key" {
			in = "header"
		}
		parameters = append(parameters, schema{"name": name, "in": in, "schema": query[name], "required": in == "header"})
	}
	return parameters
}

// schemaOf describes a type. Structs become components.
func schemaOf(t reflect.Type, components schema) schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case t == nil || t.Kind() == reflect.Interface:
		return schema{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schema{"anyOf": []any{schemaOf(t.Elem(), components), schema{"type": "null"}}}
	case reflect.Slice:
		return schema{"type": "array", "items": schemaOf(t.Elem(), components)}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": schemaOf(t.Elem(), components)}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Struct:
		if t.Name() == "" {
			return objectOf(t, components)
		}
		name := strings.TrimSuffix(strings.ToUpper(t.Name()[:1])+t.Name()[1:], "View")
		if _, done := components[name]; !done {
			components[name] = nil // ends recursion
			components[name] = objectOf(t, components)
		}
		return schema{"$ref": "#/components/schemas/" + name}
	default:
		return schema{"type": "integer"}
	}
}

// objectOf describes the members of a struct as encoding/json writes them.
func objectOf(t reflect.Type, components schema) schema {
	properties, required := schema{}, []string{}
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "" {
			continue
		}
		properties[name] = schemaOf(field.Type, components)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// openapi serves the document.
func (h *Handler) openapi(c *call) error {
	c.writer.Header().Set("Content-Type", "application/json")
	// An error here means that the client has gone.
	_, _ = c.writer.Write(h.document)
	return nil
}
