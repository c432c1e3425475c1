package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// routes is the table of native routes with these settings: what serves each, and what
// the OpenAPI document says of it. Literal paths stand before those with parameters.
func (h *Handler) routes() []rest.Route {
	routes := slices.Concat(h.keyRoutes(), h.accountRoutes(), h.reportRoutes())
	if h.alerts != nil {
		routes = append(routes, rest.Route{
			Method: "GET", Path: "/admin/v1/alerts", Access: rest.AccessAdmin, Handle: h.listAlerts,
			Summary: "List the last alerts.", Reply: alertPage{},
			Query: schema.Members{"owner": schema.Text, "limit": pageSize},
		})
	}
	return append(routes, rest.Route{
		Method: "GET", Path: "/admin/openapi.json", Access: rest.AccessAnyone, Handle: h.openapi,
		Summary: "This document.", Reply: map[string]any{},
	})
}

// keyRoutes are about keys that the caller manages.
func (h *Handler) keyRoutes() []rest.Route {
	const keys, key = "/admin/v1/keys", "/admin/v1/keys/{id}"
	return []rest.Route{
		{
			Method: "POST", Path: keys, Access: rest.AccessAdmin, Handle: h.createKey,
			Summary: "Create a key. Its text is in this reply and nowhere else.",
			Request: newKeySchema(), Status: http.StatusCreated, Reply: secretView{},
		},
		{
			Method: "GET", Path: keys, Access: rest.AccessAdmin, Handle: h.listKeys,
			Summary: "List keys, oldest first.", Reply: keyPage{},
			Query: schema.Members{
				"owner": schema.Text, "role": schema.OneOf("member", "admin"),
				"state": schema.OneOf("active", "expired", "revoked"),
				"model": schema.Text, "name": schema.Text, "after": schema.Text, "limit": pageSize,
			},
		},
		{
			Method: "POST", Path: keys + "/lookup", Access: rest.AccessAdmin, Handle: h.lookupKey,
			Summary: "Find a key by its text.", Reply: keyView{},
			Request: schema.Object(schema.Members{"key": schema.Text}, "key"),
		},
		{Method: "GET", Path: key, Access: rest.AccessAdmin, Handle: h.getKey, Summary: "Show a key.", Reply: keyView{}},
		{
			Method: "PATCH", Path: key, Access: rest.AccessAdmin, Handle: h.patchKey,
			Summary: "Change a key; null removes a limit. With a version, in the body or in If-Match, only that version is changed.",
			Request: keyPatchSchema(), Reply: keyView{},
		},
		{
			Method: "DELETE", Path: key, Access: rest.AccessAdmin, Handle: h.revokeKey,
			Summary: "Revoke a key, at once and for good.", Reply: keyView{},
		},
		{
			Method: "POST", Path: key + "/rotate", Access: rest.AccessAdmin, Handle: h.rotateKey,
			Summary: "Give a key a new text. The old one stays valid for an overlap, by default a day.",
			Request: schema.Object(schema.Members{"overlap_seconds": schema.Integer(0, int64(ledger.MaxOverlap/time.Second))}),
			Reply:   rotatedView{},
		},
		{
			Method: "GET", Path: key + "/usage", Access: rest.AccessAdmin, Handle: h.keyUsage,
			Summary: "Report what a key used, by model and UTC day.", Query: usageQuery(), Reply: usagePage{},
		},
	}
}

// accountRoutes are about accounts and their credit.
func (h *Handler) accountRoutes() []rest.Route {
	const accounts, account = "/admin/v1/accounts", "/admin/v1/accounts/{id}"
	return []rest.Route{
		{
			Method: "POST", Path: accounts, Access: rest.AccessOperator, Handle: h.createAccount,
			Summary: "Create an account.", Status: http.StatusCreated, Reply: accountView{},
			Request: schema.Object(schema.Members{"id": schema.Text, "name": schema.Text}, "id"),
		},
		{
			Method: "GET", Path: accounts, Access: rest.AccessAdmin, Handle: h.listAccounts,
			Summary: "List accounts.", Query: schema.Members{"after": schema.Text, "limit": pageSize}, Reply: accountPage{},
		},
		{
			Method: "GET", Path: account, Access: rest.AccessAdmin, Handle: h.getAccount,
			Summary: "Show an account.", Reply: accountView{},
		},
		{
			Method: "POST", Path: account + "/topups", Access: rest.AccessOperator, Handle: h.topUp,
			Summary: "Add credit to an account, once for each Idempotency-Key.",
			Header:  schema.Members{"Idempotency-Key": schema.Text},
			Request: schema.Object(schema.Members{"amount": schema.Amount}, "amount"),
			Status:  http.StatusCreated, Reply: topUpView{},
		},
	}
}

// reportRoutes show what was used and what is allowed.
func (h *Handler) reportRoutes() []rest.Route {
	tokens := schema.Integer(0, limiter.MaxTokens)
	return []rest.Route{
		{
			Method: "GET", Path: "/admin/v1/usage", Access: rest.AccessAdmin, Handle: h.usage,
			Summary: "Report what keys used, summed up by owner, key, model or day.", Reply: usagePage{},
			Query: usageQuery().With(schema.Members{"key": schema.Text, "owner": schema.Text, "by": schema.Text}),
		},
		{
			Method: "GET", Path: "/admin/v1/entries", Access: rest.AccessAdmin, Handle: h.entries,
			Summary: "Export the ledger's entries in order, one JSON object per line.", Lines: true, Reply: map[string]any{},
			Query: schema.Members{"after": schema.Count, "account": schema.Text, "limit": schema.Integer(1, maxEntries)},
		},
		{
			Method: "GET", Path: "/admin/v1/models", Access: rest.AccessKey, Handle: h.listModels,
			Summary: "List models and prices.", Reply: modelPage{},
		},
		{
			Method: "GET", Path: "/admin/v1/explain", Access: rest.AccessKey, Handle: h.explain,
			Summary: "Show each limit of a key, what fills it, and when a call fits.", Reply: explanation{},
			Query: schema.Members{"key": schema.Text, "model": schema.Text, "input_tokens": tokens, "output_tokens": tokens},
		},
		{
			Method: "GET", Path: "/admin/v1/me", Access: rest.AccessKey, Handle: h.me,
			Summary: "Show the caller's own key.", Reply: keyView{},
		},
		{
			Method: "GET", Path: "/admin/v1/me/usage", Access: rest.AccessKey, Handle: h.myUsage,
			Summary: "Report what the caller's own key used.", Query: usageQuery(), Reply: usagePage{},
		},
	}
}

// pageSize is the parameter limit of a list.
var pageSize = schema.Schema{"type": "integer", "minimum": 1, "maximum": rest.MaxPage, "default": 100}

// usageQuery are the parameters that all reports of usage have.
func usageQuery() schema.Members {
	return schema.Members{
		"model": schema.Text, "from": schema.Day, "to": schema.Day, "limit": schema.Integer(1, maxUsageRows),
	}
}

// keyMembers are the members of a key that can be set at any time.
func keyMembers() schema.Members {
	count := schema.Nullable(schema.Count)
	limits := schema.Members{
		"rpm": count, "tpm": count, "rpd": count, "tpd": count, "max_in_flight": count,
		"token_type": schema.OneOf("total", "input", "output"),
	}
	return schema.Members{
		"name": schema.Text, "models": schema.Texts, "limits": schema.Nullable(schema.Object(limits)),
		"model_limits": schema.ArrayOf(schema.Object(limits.With(schema.Members{"model": schema.Text}), "model")),
		"budget":       schema.Nullable(schema.Amount), "expires_at": schema.Instant,
		"permissions": schema.ArrayOf(schema.OneOf(permissions...)), "cidrs": schema.Texts,
		"metadata": {"type": []string{"object", "null"}, "additionalProperties": schema.Text},
	}
}

func newKeySchema() schema.Schema {
	return schema.Object(keyMembers().With(schema.Members{
		"owner": schema.Text, "role": schema.OneOf("member", "admin"), "all_owners": schema.Flag,
	}), "name")
}

func keyPatchSchema() schema.Schema {
	return schema.Object(keyMembers().With(schema.Members{
		"version": {"type": "integer", "minimum": 1}, "effective": schema.OneOf("now", "next_window"),
	}))
}
