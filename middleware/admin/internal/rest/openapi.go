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

// describe builds the OpenAPI document of some APIs. Replies are described by the
// types that are sent, so that the two cannot drift apart.
func describe(apis []API) []byte {
	components := schema.Schema{}
	paths := map[string]schema.Schema{}
	for i := range apis {
		types := schema.Types{Components: components, Prefix: apis[i].Components}
		for j := range apis[i].Routes {
			route := &apis[i].Routes[j]
			item := paths[route.Path]
			if item == nil {
				item = schema.Schema{}
				paths[route.Path] = item
			}
			item[strings.ToLower(route.Method)] = describeRoute(route, &types, apis[i].Refusal)
		}
	}
	document, err := json.MarshalIndent(schema.Schema{
		"openapi": "3.1.0",
		"info": schema.Schema{
			"title": "Penstock administration", "version": "1",
			"description": "Keys, accounts and usage. Amounts are credits as decimal strings; " +
				"fields that end in _micro are the same in millionths.",
		},
		"paths": paths,
		"components": schema.Schema{
			"schemas": components,
			"securitySchemes": schema.Schema{
				"bearer": schema.Schema{"type": "http", "scheme": "bearer"},
				"header": schema.Schema{"type": "apiKey", "in": "header", "name": "x-api-key"},
			},
		},
	}, "", "  ")
	if err != nil {
		panic("rest: describe the API: " + err.Error()) // maps and texts always encode
	}
	return document
}

func describeRoute(route *Route, types *schema.Types, refusal any) schema.Schema {
	media := "application/json"
	if route.Lines {
		media = "application/x-ndjson"
	}
	described := schema.Schema{
		"summary": route.Summary,
		"responses": schema.Schema{
			strconv.Itoa(cmp.Or(route.Status, http.StatusOK)): describeBody("success", media, types.Of(reflect.TypeOf(route.Reply))),
			"default": describeBody("refusal", "application/json", types.Of(reflect.TypeOf(refusal))),
		},
	}
	if parameters := describeParameters(route); len(parameters) > 0 {
		described["parameters"] = parameters
	}
	if route.Request != nil {
		described["requestBody"] = schema.Schema{"required": true, "content": schema.Schema{"application/json": schema.Schema{"schema": route.Request}}}
	}
	if route.Access != AccessAnyone {
		described["security"] = []any{schema.Schema{"bearer": []any{}}, schema.Schema{"header": []any{}}}
	}
	return described
}

func describeBody(what, media string, body schema.Schema) schema.Schema {
	return schema.Schema{"description": what, "content": schema.Schema{media: schema.Schema{"schema": body}}}
}

// describeParameters lists what stands in the path, the headers and the query.
func describeParameters(route *Route) (parameters []schema.Schema) {
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

func describeParameter(name, in string, value schema.Schema) schema.Schema {
	return schema.Schema{"name": name, "in": in, "required": in != "query", "schema": value}
}
