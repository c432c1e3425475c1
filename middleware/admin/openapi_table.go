package admin

import (
	"maps"
	"slices"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/limiter"
)

// Pieces of schemas.
var (
	text     = schema{"type": "string"}
	flag     = schema{"type": "boolean"}
	count    = schema{"type": "integer", "minimum": 0, "maximum": int64(maxLimit)}
	tokens   = schema{"type": "integer", "minimum": 0, "maximum": int64(limiter.MaxTokens)}
	version  = schema{"type": "integer", "minimum": 1}
	day      = schema{"type": "string", "format": "date"}
	instant  = schema{"type": []string{"string", "null"}, "format": "date-time"}
	credits  = schema{"anyOf": []any{schema{"type": "string", "pattern": `^[0-9]+(\.[0-9]{1,6})?$`}, schema{"type": "integer", "minimum": 0}}}
	texts    = schema{"type": []string{"array", "null"}, "items": text}
	pageSize = schema{"type": "integer", "minimum": 1, "maximum": maxPage, "default": 100}

	limitMembers = map[string]schema{
		"rpm": nullable(count), "tpm": nullable(count), "rpd": nullable(count), "tpd": nullable(count), "max_in_flight": nullable(count),
		"token_type": oneOf("total", "input", "output"),
	}
	keyMembers = map[string]schema{
		"name": text, "models": texts, "limits": nullable(object(limitMembers)),
		"model_limits": arrayOf(object(with(limitMembers, map[string]schema{"model": text}), "model")),
		"budget":       nullable(credits), "expires_at": instant, "scopes": {"type": []string{"array", "null"}, "items": oneOf(scopes...)},
		"cidrs": texts, "metadata": {"type": []string{"object", "null"}, "additionalProperties": text},
	}
	sdkLimits = map[string]schema{
		"tpm": count, "tpd": count, "rpm": count, "rpd": count,
		"tokenType": {"enum": []any{"total", "input", "output", nil}},
	}
	sdkKey = loose(map[string]schema{
		"name": text, "budget": {"type": []string{"number", "null"}}, "expiresAt": instant,
		"globalLimits": nullable(loose(sdkLimits)),
		"assetsLimits": arrayOf(loose(with(sdkLimits, map[string]schema{"assetId": text}))),
	}, "name")
	usageQuery = map[string]schema{"model": text, "from": day, "to": day, "limit": {"type": "integer", "minimum": 1, "maximum": maxUsageRows}}
)

// operations describes every route by its method and path.
var operations = map[string]operation{
	"POST /admin/v1/keys": {
		summary: "Create a key. Its text is in this reply and nowhere else.", status: 201, reply: secretView{},
		request: object(with(keyMembers, map[string]schema{"owner": text, "role": oneOf("member", "admin"), "all_owners": flag}), "name"),
	},
	"GET /admin/v1/keys": {
		summary: "List keys, oldest first.", reply: keyPage{},
		query: map[string]schema{
			"owner": text, "role": oneOf("member", "admin"), "state": oneOf("active", "expired", "revoked"),
			"model": text, "name": text, "after": text, "limit": pageSize,
		},
	},
	"POST /admin/v1/keys/lookup": {summary: "Find a key by its text.", reply: keyView{}, request: object(map[string]schema{"key": text}, "key")},
	"GET /admin/v1/keys/{id}":    {summary: "Show a key.", reply: keyView{}},
	"PATCH /admin/v1/keys/{id}": {
		summary: "Change a key. The version that was read goes into the body or into If-Match; null takes a bound away.", reply: keyView{},
		request: object(with(keyMembers, map[string]schema{"version": version, "effective": oneOf("now", "next_window")})),
	},
	"DELETE /admin/v1/keys/{id}": {summary: "Revoke a key at once and for good.", reply: keyView{}},
	"POST /admin/v1/keys/{id}/rotate": {
		summary: "Give a key a new text. The old one stays valid for an overlap, a day if the body does not say.", reply: rotatedView{},
		request: object(map[string]schema{"overlap_seconds": {"type": "integer", "minimum": 0, "maximum": 604800}}),
	},
	"GET /admin/v1/keys/{id}/usage": {summary: "Tell what a key used, by model and UTC day.", reply: usagePage{}, query: usageQuery},

	"POST /admin/v1/accounts": {
		summary: "Create an account.", status: 201, reply: accountView{}, request: object(map[string]schema{"id": text, "name": text}, "id"),
	},
	"GET /admin/v1/accounts":      {summary: "List accounts.", reply: accountPage{}, query: map[string]schema{"after": text, "limit": pageSize}},
	"GET /admin/v1/accounts/{id}": {summary: "Show an account.", reply: accountView{}},
	"POST /admin/v1/accounts/{id}/topups": {
		summary: "Add credit to an account, once for each Idempotency-Key.", status: 201, reply: topUpView{},
		request: object(map[string]schema{"amount": credits}, "amount"), query: map[string]schema{"Idempotency-Key": text},
	},

	"GET /admin/v1/usage": {
		summary: "Tell what keys used, summed up by owner, key, model or day.", reply: usagePage{},
		query: with(usageQuery, map[string]schema{"key": text, "owner": text, "by": text}),
	},
	"GET /admin/v1/entries": {
		summary: "Export the ledger's entries in order, one JSON object a line.", lines: true, reply: map[string]any{},
		query: map[string]schema{"after": count, "account": text, "limit": {"type": "integer", "minimum": 1, "maximum": maxEntries}},
	},
	"GET /admin/v1/models": {summary: "List models and prices.", reply: modelPage{}},
	"GET /admin/v1/explain": {
		summary: "Tell each limit of a key, what fills it, and when a call fits.", reply: explanation{},
		query: map[string]schema{"key": text, "model": text, "input_tokens": tokens, "output_tokens": tokens},
	},
	"GET /admin/v1/alerts":    {summary: "List the last alerts.", reply: alertPage{}, query: map[string]schema{"owner": text, "limit": pageSize}},
	"GET /admin/v1/me":        {summary: "Show the caller's own key.", reply: keyView{}},
	"GET /admin/v1/me/usage":  {summary: "Tell what the caller's own key used.", reply: usagePage{}, query: usageQuery},
	"GET /admin/openapi.json": {summary: "This document.", reply: map[string]any{}},

	"GET /sdk/api-keys":                   {summary: "List keys for the aiXplain SDK.", reply: []aixplainKey{}},
	"POST /sdk/api-keys":                  {summary: "Create a key for the aiXplain SDK.", status: 201, reply: aixplainKey{}, request: sdkKey},
	"GET /sdk/api-keys/usage-limits":      {summary: "Tell the caller's usage of today.", reply: []aixplainUsage{}},
	"GET /sdk/api-keys/{id}":              {summary: "Show a key to the aiXplain SDK.", reply: aixplainKey{}},
	"PUT /sdk/api-keys/{id}":              {summary: "Replace a key's settings; limits act from the next window on.", reply: aixplainKey{}, request: sdkKey},
	"DELETE /sdk/api-keys/{id}":           {summary: "Revoke a key.", reply: aixplainKey{}},
	"GET /sdk/api-keys/{id}/usage-limits": {summary: "Tell a key's usage of today.", reply: []aixplainUsage{}},
	"GET /sdk/models/{id}":                {summary: "Show a model to the aiXplain SDK.", reply: aixplainModel{}},
	"GET /v2/models/{id}":                 {summary: "Show a model to the aiXplain SDK.", reply: aixplainModel{}},
}

// alertPage is the reply of the list of alerts.
type alertPage struct {
	Thresholds []int          `json:"thresholds_percent"`
	Alerts     []alerts.Alert `json:"alerts"`
}

// modelPage is the reply of the list of models.
type modelPage struct {
	Models []modelView `json:"models"`
}

// object describes an object without other members than these.
func object(members map[string]schema, required ...string) schema {
	described := loose(members, required...)
	described["additionalProperties"] = false
	return described
}

// loose describes an object whose unknown members are ignored.
func loose(members map[string]schema, required ...string) schema {
	described := schema{"type": "object", "properties": members}
	if len(required) > 0 {
		described["required"] = required
	}
	return described
}

func arrayOf(items schema) schema { return schema{"type": []string{"array", "null"}, "items": items} }

func oneOf(words ...string) schema { return schema{"type": "string", "enum": words} }

func nullable(described schema) schema {
	return schema{"anyOf": []any{described, schema{"type": "null"}}}
}

func with(members, more map[string]schema) map[string]schema {
	all := maps.Clone(members)
	maps.Copy(all, more)
	return all
}

func sortedNames(members map[string]schema) []string { return slices.Sorted(maps.Keys(members)) }
