package rest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// object is a JSON object in the document.
type object = schema.Schema

// describe builds the OpenAPI document of some APIs. Replies are described by the
// types that are sent, so that the two cannot drift apart.
func describe(apis []API) []byte {
	components := object{}
	paths := map[string]object{}
	for i := range apis {
		types := schema.Types{Components: components, Prefix: apis[i].Components}
		for j := range apis[i].Routes {
			route := &apis[i].Routes[j]
			item := paths[route.Path]
			if item == nil {
				item = object{}
				paths[route.Path] = item
			}
			item[strings.ToLower(route.Method)] = describeRoute(route, &types, apis[i].Refusal)
		}
	}
	document, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Penstock administration", "version": "1",
			"description": "Keys, accounts and usage. Amounts are credits as decimal strings; " +
				"fields that end in _micro are the same in millionths.",
		},
		"paths": paths,
		"components": object{
			"schemas": components,
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer"},
				"header": object{"type": "apiKey", "in": "header", "name": "x-api-key"},
			},
		},
	}, "", "  ")
	if err != nil {
		panic("rest: describe the API: " + err.Error()) // maps and texts always encode
	}
	return document
}

func describeRoute(route *Route, types *schema.Types, refusal any) object {
	status, media := cmp.Or(route.Status, http.StatusOK), "application/json"
	if route.Lines {
		media = "application/x-ndjson"
	}
	described := object{
		"summary": route.Summary,
		"responses": object{
			strconv.Itoa(status): describeBody("success", media, types.Of(reflect.TypeOf(route.Reply))),
			"default":            describeBody("refusal", "application/json", types.Of(reflect.TypeOf(refusal))),
		},
	}
	if parameters := describeParameters(route); len(parameters) > 0 {
		described["parameters"] = parameters
	}
	if route.Request != nil {
		content := object{"application/json": object{"schema": route.Request}}
		described["requestBody"] = object{"required": true, "content": content}
	}
	if route.Access != AccessAnyone {
		described["security"] = []any{object{"bearer": []any{}}, object{"header": []any{}}}
	}
	return described
}

func describeBody(what, media string, body object) object {
	return object{"description": what, "content": object{media: object{"schema": body}}}
}

// describeParameters lists what stands in the path, the headers and the query.
func describeParameters(route *Route) (parameters []object) {
	for segment := range strings.SplitSeq(route.Path, "/") {
		if strings.HasPrefix(segment, "{") {
			parameters = append(parameters, describeParameter(strings.Trim(segment, "{}"), "path", schema.Text))
		}
	}
	for _, name := range route.Header.Names() {
		parameters = append(parameters, describeParameter(name, "header", route.Header[name]))
	}
	for _, name := range route.Query.Names() {
		parameters = append(parameters, describeParameter(name, "query", route.Query[name]))
	}
	return parameters
}

func describeParameter(name, in string, value object) object {
	return object{"name": name, "in": in, "required": in != "query", "schema": value}
}
