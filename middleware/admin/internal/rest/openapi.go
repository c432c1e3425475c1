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

// describer collects the document of some APIs.
type describer struct {
	paths, schemas, responses object
	tags                      []Tag
}

// describe builds the OpenAPI document of some APIs. Replies are described by the
// types that are sent, so that the two cannot drift apart.
func describe(apis []API) []byte {
	d := describer{paths: object{}, schemas: object{}, responses: object{}}
	for i := range apis {
		d.api(&apis[i])
	}
	document, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Penstock administration", "version": "1",
			"description": "Keys, accounts and usage. Amounts are credits as decimal strings; " +
				"fields that end in _micro are the same in millionths.",
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []any{object{"url": "/", "description": "The gateway that serves this document."}},
		"tags":    d.tags,
		"paths":   d.paths,
		"components": object{
			"schemas": d.schemas, "responses": d.responses,
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer", "description": "A key of the ledger, or the configured admin key."},
				"header": object{"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key in a header of its own."},
			},
		},
	}, "", "  ")
	if err != nil {
		panic("rest: describe the API: " + err.Error()) // maps and texts always encode
	}
	return document
}

// api adds the routes of one API.
func (d *describer) api(api *API) {
	d.tags = append(d.tags, api.Tags...)
	types := schema.Types{Components: d.schemas, Prefix: api.Components}
	for i := range api.Routes {
		route := &api.Routes[i]
		item, _ := d.paths[route.Path].(object)
		if item == nil {
			item = object{}
			d.paths[route.Path] = item
		}
		described := describeRoute(route, &types)
		refusals := described["responses"].(object)
		for _, status := range route.refusals() {
			name := api.Components + strings.ReplaceAll(http.StatusText(status), " ", "")
			refusals[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + name}
			d.responses[name] = describeRefusal(status, api, &types)
		}
		refusals["default"] = describeBody("a failure of the gateway", "application/json", types.Of(reflect.TypeOf(api.Refusal)), nil)
		item[strings.ToLower(route.Method)] = described
	}
}

// refusalWords say when a status is sent.
var refusalWords = map[int]string{
	http.StatusBadRequest:            "A field, parameter or header cannot be accepted; the error names it.",
	http.StatusUnauthorized:          "There is no key, or it is unknown, malformed, expired or revoked.",
	http.StatusForbidden:             "The key may not do this, or it is paused.",
	http.StatusNotFound:              "There is nothing under this id that the key may see.",
	http.StatusConflict:              "What is asked does not fit the present state.",
	http.StatusRequestEntityTooLarge: "The body is too large.",
	http.StatusUnprocessableEntity:   "The Idempotency-Key was used with another request, or a name is taken.",
	http.StatusTooManyRequests:       "Too many attempts to authenticate from this address have failed.",
}

func describeRefusal(status int, api *API, types *schema.Types) object {
	described := describeBody(refusalWords[status], "application/json", types.Of(reflect.TypeOf(api.Refusal)), nil)
	if status == http.StatusTooManyRequests && api.Components == "" {
		described["headers"] = object{"Retry-After": object{
			"description": "Seconds to wait.", "schema": schema.Integer(1, schema.MaxInteger),
		}}
	}
	return described
}

func describeRoute(route *Route, types *schema.Types) object {
	status, media := cmp.Or(route.Status, http.StatusOK), cmp.Or(route.Media, "application/json")
	if route.Lines {
		media = "application/x-ndjson"
	}
	reply := types.Of(reflect.TypeOf(route.Reply))
	responses := object{strconv.Itoa(status): describeBody("Success.", media, reply, route.ReplyExample)}
	if route.Repeated {
		responses["200"] = describeBody("The same request was carried out before; nothing was done now.", media, reply, nil)
	}
	described := object{
		"operationId": route.ID, "summary": route.Summary, "tags": []string{route.Tag},
		"responses": responses, "security": []any{},
	}
	if parameters := describeParameters(route); len(parameters) > 0 {
		described["parameters"] = parameters
	}
	if route.Request != nil {
		media := object{"schema": route.Request}
		if route.RequestExample != nil {
			media["example"] = route.RequestExample
		}
		described["requestBody"] = object{"required": !route.Bodiless, "content": object{"application/json": media}}
	}
	if route.Access != AccessAnyone {
		described["security"] = []any{object{"bearer": []any{}}, object{"header": []any{}}}
	}
	return described
}

func describeBody(what, media string, body object, example any) object {
	content := object{"schema": body}
	if example != nil {
		content["example"] = example
	}
	return object{"description": what, "content": object{media: content}}
}

// describeParameters lists what stands in the path, the headers and the query.
func describeParameters(route *Route) (parameters []object) {
	add := func(name, in string, required bool, value object) {
		described := object{"name": name, "in": in, "required": required, "schema": value}
		if words := parameterWords[name]; words != "" {
			described["description"] = words
		}
		parameters = append(parameters, described)
	}
	for segment := range strings.SplitSeq(route.Path, "/") {
		if strings.HasPrefix(segment, "{") {
			add(strings.Trim(segment, "{}"), "path", true, schema.Text)
		}
	}
	for _, name := range route.Header.Names() {
		add(name, "header", true, route.Header[name])
	}
	for _, name := range route.Optional.Names() {
		add(name, "header", false, route.Optional[name])
	}
	for _, name := range route.Query.Names() {
		add(name, "query", false, route.Query[name])
	}
	return parameters
}

// parameterWords describe parameters whose names do not.
var parameterWords = map[string]string{
	IdempotencyHeader: "Any text that is used for this request alone. The same request with the same text takes effect once.",
	"If-Match":        "The version of the key as it was read, in quotation marks.",
	"after":           "Where the page before ended: its next, or the seq of its last line.",
	"from":            "The first day or moment.",
	"before":          "The moment, or the start of the day, that ends the range.",
	"to":              "The last day.",
	"by":              "Group by owner, key, model or day, or by several of them after commas.",
	"kind":            "Kinds of entries after commas, such as topup,adjust.",
}
