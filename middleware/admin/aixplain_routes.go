package admin

import (
	"net/http"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// aixplainError is the body of a refusal on the aiXplain routes. Its SDK takes
// the status from the body first, and its older half shows nothing but error.
type aixplainError struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Error      string `json:"error"`
	RetryAfter int64  `json:"retry_after_ms,omitempty"`
	RequestID  string `json:"requestId"`
}

// refuseAixplain sends a problem. There is no Retry-After: the SDK would sleep
// instead of raising its error.
func refuseAixplain(c *rest.Call, p *rest.Problem) {
	c.JSON(p.Status, aixplainError{
		StatusCode: p.Status, Message: p.Message, Error: p.Message, RetryAfter: p.RetryAfterMS(), RequestID: c.ID,
	})
}

// aixplainRoutes lists the routes of the aiXplain SDK and what the OpenAPI document
// says of them. Literal paths stand before those with parameters.
func (h *Handler) aixplainRoutes() []rest.Route {
	const keys, key = "/sdk/api-keys", "/sdk/api-keys/{id}"
	return []rest.Route{
		{
			Method: "GET", Path: keys, Access: rest.AccessAdmin, Handle: h.sdkList,
			Summary: "List keys for the aiXplain SDK.", Reply: []aixplainKey{},
		},
		{
			Method: "POST", Path: keys, Access: rest.AccessAdmin, Handle: h.sdkCreate,
			Summary: "Create a key for the aiXplain SDK.", Request: aixplainKeySchema(),
			Status: http.StatusCreated, Reply: aixplainKey{},
		},
		{
			Method: "GET", Path: keys + "/usage-limits", Access: rest.AccessKey, Handle: h.sdkOwnUsage,
			Summary: "Tell the caller's usage of today.", Reply: []aixplainUsage{},
		},
		{
			Method: "GET", Path: key, Access: rest.AccessAdmin, Handle: h.sdkGet,
			Summary: "Show a key to the aiXplain SDK.", Reply: aixplainKey{},
		},
		{
			Method: "PUT", Path: key, Access: rest.AccessAdmin, Handle: h.sdkUpdate,
			Summary: "Replace a key's settings; limits act from the next window on.",
			Request: aixplainKeySchema(), Reply: aixplainKey{},
		},
		{
			Method: "DELETE", Path: key, Access: rest.AccessAdmin, Handle: h.sdkDelete,
			Summary: "Revoke a key.", Reply: aixplainKey{},
		},
		{
			Method: "GET", Path: key + "/usage-limits", Access: rest.AccessAdmin, Handle: h.sdkUsage,
			Summary: "Tell a key's usage of today.", Reply: []aixplainUsage{},
		},
		{
			Method: "GET", Path: "/sdk/models/{id}", Access: rest.AccessKey, Handle: h.sdkModel,
			Summary: "Show a model to the aiXplain SDK.", Reply: aixplainModel{},
		},
		{
			Method: "GET", Path: "/v2/models/{id}", Access: rest.AccessKey, Handle: h.sdkModel,
			Summary: "Show a model to the aiXplain SDK.", Reply: aixplainModel{},
		},
	}
}

// aixplainKeySchema describes what the SDK sends to create or to replace a key.
func aixplainKeySchema() schema.Schema {
	limits := schema.Members{
		"tpm": schema.Count, "tpd": schema.Count, "rpm": schema.Count, "rpd": schema.Count,
		"tokenType": {"enum": []any{"total", "input", "output", nil}},
	}
	return schema.LooseObject(schema.Members{
		"name": schema.Text, "budget": {"type": []string{"number", "null"}}, "expiresAt": schema.Instant,
		"globalLimits": schema.Nullable(schema.LooseObject(limits)),
		"assetsLimits": schema.ArrayOf(schema.LooseObject(limits.With(schema.Members{"assetId": schema.Text}))),
	}, "name")
}
