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

// Tags of the native routes.
const (
	tagKeys     = "keys"
	tagAccounts = "accounts"
	tagReports  = "reports"
	tagSelf     = "self"
)

// tags describe the groups of native routes.
var tags = []rest.Tag{
	{Name: tagKeys, Description: "Keys: create, limit, rotate, pause and revoke them."},
	{Name: tagAccounts, Description: "Accounts that pay, and their credit."},
	{Name: tagReports, Description: "What was used, what it cost, and what stands in the way of a call."},
	{Name: tagSelf, Description: "What any key may ask about itself."},
}

// once is the header that makes a request take effect once.
var once = schema.Members{rest.IdempotencyHeader: schema.Text}

// routes is the table of native routes with these settings: what serves each, and what
// the OpenAPI document says of it. Literal paths stand before those with parameters.
func (h *Handler) routes() []rest.Route {
	routes := slices.Concat(h.keyRoutes(), h.accountRoutes(), h.reportRoutes(), h.selfRoutes(), h.ledgerRoutes())
	if h.alerts != nil {
		routes = append(routes, rest.Route{
			Method: "GET", Path: "/admin/v1/alerts", Access: rest.AccessAdmin, Handle: h.listAlerts,
			ID: "listAlerts", Tag: tagReports, Summary: "List the last alerts.", Reply: alertPage{},
			Query: schema.Members{"owner": schema.Text, "limit": pageSize},
		})
	}
	return append(routes, rest.Route{
		Method: "GET", Path: "/admin/openapi.json", Access: rest.AccessAnyone, Handle: h.openapi,
		ID: "getOpenAPI", Tag: tagSelf, Summary: "This document.", Reply: map[string]any{},
	})
}

// keyRoutes are about keys that the caller manages.
func (h *Handler) keyRoutes() []rest.Route {
	const keys, key = "/admin/v1/keys", "/admin/v1/keys/{id}"
	return []rest.Route{
		{
			Method: "POST", Path: keys, Access: rest.AccessAdmin, Handle: h.createKey, ID: "createKey", Tag: tagKeys,
			Summary:  "Create a key. Its text is in this reply and nowhere else: a repeated request gets the key without it.",
			Optional: once, Request: newKeySchema(), RequestExample: exampleNewKey,
			Status: http.StatusCreated, Repeated: true, Reply: secretView{},
		},
		{
			Method: "GET", Path: keys, Access: rest.AccessAdmin, Handle: h.listKeys, ID: "listKeys", Tag: tagKeys,
			Summary: "List keys, oldest first.", Reply: keyPage{},
			Query: schema.Members{
				"owner": schema.Text, "role": schema.OneOf("member", "admin"),
				"state": schema.OneOf("active", "expired", "paused", "revoked"),
				"model": schema.Text, "name": schema.Text, "after": schema.Text, "limit": pageSize,
			},
		},
		{
			Method: "POST", Path: keys + "/lookup", Access: rest.AccessAdmin, Handle: h.lookupKey, ID: "lookupKey", Tag: tagKeys,
			Summary: "Find a key by its text.", Reply: keyView{}, Refusals: []int{http.StatusNotFound},
			Request: schema.Object(schema.Members{"key": schema.Text}, "key"),
		},
		{
			Method: "POST", Path: keys + "/import", Access: rest.AccessAdmin, Handle: h.importKey, ID: "importKey", Tag: tagKeys,
			Summary:  "Make a key whose text exists already from the SHA-256 of the text.",
			Optional: once, Request: importedKeySchema(), RequestExample: exampleImportedKey,
			Status: http.StatusCreated, Repeated: true, Reply: keyView{}, Refusals: []int{http.StatusConflict},
		},
		{
			Method: "GET", Path: key, Access: rest.AccessAdmin, Handle: h.getKey, ID: "getKey", Tag: tagKeys,
			Summary: "Show a key.", Reply: keyView{},
		},
		{
			Method: "PATCH", Path: key, Access: rest.AccessAdmin, Handle: h.patchKey, ID: "updateKey", Tag: tagKeys,
			Summary:  "Change a key; null removes a limit. With a version, in the body or in If-Match, only that version is changed.",
			Optional: schema.Members{"If-Match": schema.Text}, Request: keyPatchSchema(), RequestExample: exampleKeyPatch,
			Reply: keyView{}, Refusals: []int{http.StatusConflict},
		},
		{
			Method: "DELETE", Path: key, Access: rest.AccessAdmin, Handle: h.revokeKey, ID: "revokeKey", Tag: tagKeys,
			Summary: "Revoke a key, at once and for good.", Reply: keyView{},
		},
		{
			Method: "POST", Path: key + "/rotate", Access: rest.AccessAdmin, Handle: h.rotateKey, ID: "rotateKey", Tag: tagKeys,
			Summary: "Give a key a new text. The old one stays valid for an overlap, by default a day; " +
				"those of earlier rotations do as promised, unless end_previous ends them.",
			Optional: once, Bodiless: true, RequestExample: map[string]any{"overlap_seconds": 3600},
			Request: schema.Object(schema.Members{
				"overlap_seconds": schema.Integer(0, int64(ledger.MaxOverlap/time.Second)), "end_previous": schema.Flag,
			}),
			Reply: rotatedView{}, Refusals: []int{http.StatusConflict},
		},
		{
			Method: "GET", Path: key + "/usage", Access: rest.AccessAdmin, Handle: h.keyUsage, ID: "getKeyUsage", Tag: tagKeys,
			Summary: "Report what a key used, by model and UTC day.", Query: usageQuery(), Reply: usagePage{},
		},
	}
}

// accountRoutes are about accounts and their credit.
func (h *Handler) accountRoutes() []rest.Route {
	const accounts, account = "/admin/v1/accounts", "/admin/v1/accounts/{id}"
	return []rest.Route{
		{
			Method: "POST", Path: accounts, Access: rest.AccessOperator, Handle: h.createAccount, ID: "createAccount", Tag: tagAccounts,
			Summary: "Create an account.", Optional: once, Status: http.StatusCreated, Reply: accountView{},
			Request:        schema.Object(schema.Members{"id": schema.Text, "name": schema.Text}, "id"),
			RequestExample: map[string]any{"id": "acme", "name": "Acme Ltd"}, Refusals: []int{http.StatusConflict},
		},
		{
			Method: "GET", Path: accounts, Access: rest.AccessAdmin, Handle: h.listAccounts, ID: "listAccounts", Tag: tagAccounts,
			Summary: "List accounts.", Query: schema.Members{"after": schema.Text, "limit": pageSize}, Reply: accountPage{},
		},
		{
			Method: "GET", Path: account, Access: rest.AccessAdmin, Handle: h.getAccount, ID: "getAccount", Tag: tagAccounts,
			Summary: "Show an account.", Reply: accountView{},
		},
		{
			Method: "PATCH", Path: account, Access: rest.AccessOperator, Handle: h.patchAccount, ID: "updateAccount", Tag: tagAccounts,
			Summary: "Rename, freeze or unfreeze an account. While it is frozen, no key of it runs a call.",
			Request: schema.Object(schema.Members{"name": schema.Text, "frozen": schema.Flag, "reason": schema.Text}),
			Reply:   accountView{}, RequestExample: map[string]any{"frozen": true, "reason": "invoice 17 is overdue"},
		},
		{
			Method: "POST", Path: account + "/topups", Access: rest.AccessOperator, Handle: h.topUp, ID: "topUpAccount", Tag: tagAccounts,
			Summary: "Add credit to an account, once for each Idempotency-Key.",
			Header:  once, Request: schema.Object(schema.Members{"amount": schema.Amount}, "amount"),
			RequestExample: map[string]any{"amount": "12.5"},
			Status:         http.StatusCreated, Repeated: true, Reply: topUpView{}, ReplyExample: exampleTopUp,
		},
		{
			Method: "POST", Path: account + "/adjustments", Access: rest.AccessOperator, Handle: h.adjust, ID: "adjustAccount", Tag: tagAccounts,
			Summary: "Correct an account up or down, once for each Idempotency-Key; below zero takes credit back.",
			Header:  once, Request: schema.Object(schema.Members{"amount": schema.SignedAmount, "reason": schema.Text}, "amount", "reason"),
			RequestExample: map[string]any{"amount": "-12.5", "reason": "invoice 17 was paid twice"},
			Status:         http.StatusCreated, Repeated: true, Reply: topUpView{},
		},
	}
}

// reportRoutes show what was used and what it cost.
func (h *Handler) reportRoutes() []rest.Route {
	return []rest.Route{
		{
			Method: "GET", Path: "/admin/v1/usage", Access: rest.AccessAdmin, Handle: h.usage, ID: "getUsage", Tag: tagReports,
			Summary: "Report what keys used, summed up by owner, key, model or day.", Reply: usagePage{},
			Query: usageQuery().With(schema.Members{"key": schema.Text, "owner": schema.Text, "by": schema.Text}),
		},
		{
			Method: "GET", Path: "/admin/v1/entries", Access: rest.AccessAdmin, Handle: h.entries, ID: "listEntries", Tag: tagReports,
			Summary: "Export the ledger's entries, or those that are asked for, in order: one JSON object per line. " +
				"The next page follows the seq of the last line.",
			Lines: true, Reply: map[string]any{}, Refusals: []int{http.StatusNotFound},
			Query: schema.Members{
				"after": schema.Count, "account": schema.Text, "key": schema.Text, "request_id": schema.Text,
				"kind": schema.Text, "from": schema.Text, "before": schema.Text, "limit": schema.Integer(1, maxEntries),
			},
		},
	}
}

// selfRoutes are for every key.
func (h *Handler) selfRoutes() []rest.Route {
	tokens := schema.Integer(0, limiter.MaxTokens)
	return []rest.Route{
		{
			Method: "GET", Path: "/admin/v1/models", Access: rest.AccessKey, Handle: h.listModels, ID: "listModels", Tag: tagReports,
			Summary: "List models and prices.", Reply: modelPage{},
		},
		{
			Method: "GET", Path: "/admin/v1/explain", Access: rest.AccessKey, Handle: h.explain, ID: "explainLimits", Tag: tagReports,
			Summary: "Show each limit of a key, what fills it, what a call would hold and cost, and when it fits.", Reply: explanation{},
			Query: schema.Members{
				"key": schema.Text, "model": schema.Text, "input_tokens": tokens, "output_tokens": tokens,
				"body_bytes": schema.Integer(0, maxBodyBytes), "answers": schema.Integer(1, maxAnswers),
			},
			Refusals: []int{http.StatusNotFound},
		},
		{
			Method: "GET", Path: "/admin/v1/me", Access: rest.AccessKey, Handle: h.me, ID: "getOwnKey", Tag: tagSelf,
			Summary: "Show the caller's own key.", Reply: keyView{},
		},
		{
			Method: "GET", Path: "/admin/v1/me/usage", Access: rest.AccessKey, Handle: h.myUsage, ID: "getOwnUsage", Tag: tagSelf,
			Summary: "Report what the caller's own key used.", Query: usageQuery(), Reply: usagePage{},
		},
	}
}

// Examples for the document.
var (
	exampleTopUp = topUpView{
		Sequence: 42, Amount: "12.500000", AmountMicro: 12_500_000,
		Account: accountView{
			ID: "acme", Name: "Acme Ltd", Available: "12.500000", AvailableMicro: 12_500_000, Held: "0.000000", Spent: "0.000000",
		},
	}
	exampleNewKey = map[string]any{
		"name": "team-a", "owner": "acme", "limits": map[string]any{"rpm": 60, "tpm": 30000}, "budget": "100", "models": []string{"tiny"},
	}
	exampleImportedKey = map[string]any{
		"name": "team-b", "owner": "acme", "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "hint": "testtest",
	}
	exampleKeyPatch = map[string]any{"limits": map[string]any{"rpm": 120}, "budget": nil, "version": 3}
)

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
		"version": {"type": "integer", "minimum": 1}, "effective": schema.OneOf("now", "next_window"), "paused": schema.Flag,
	}))
}

func importedKeySchema() schema.Schema {
	return schema.Object(keyMembers().With(schema.Members{
		"owner": schema.Text, "role": schema.OneOf("member", "admin"), "all_owners": schema.Flag,
		"sha256": {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}, "hint": schema.Text,
	}), "name", "sha256")
}
