package aixplain

import (
	"context"
	"net/http"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// Ledger is what the routes need of a ledger.
type Ledger interface {
	Key(id string) (ledger.Key, bool)
	ListKeys(query ledger.KeyQuery) (keys []ledger.Key, next string, err error)
	CreateKey(ctx context.Context, request ledger.NewKey) (ledger.Key, ledger.Secret, error)
	MadeKey(ctx context.Context, idempotency ledger.Idempotency) (key ledger.Key, ok bool, err error)
	UpdateKey(ctx context.Context, id string, version int64, patch ledger.KeyPatch) (ledger.Key, error)
	RevokeKey(ctx context.Context, id string) (ledger.Key, error)
	Price(model string) ledger.Price
}

// Limiter shows what is counted of a key's limits.
type Limiter interface {
	Inspect(ctx context.Context, request limiter.Request) (limiter.State, error)
}

// Config is what the routes work on.
type Config struct {
	Ledger  Ledger
	Limiter Limiter
	Rules   *rules.Set
	Now     func() time.Time
	Revoked func(keyID string) // called after a revocation is durable
}

// api has the handlers of the routes.
type api struct{ Config }

// API returns the routes for package admin to serve.
func API(config Config) rest.API {
	a := &api{config}
	return rest.API{
		Prefixes: []string{"/sdk", "/v2/models"}, Routes: a.routes(), Refuse: refuse, Refusal: errorView{},
		Components: "Aixplain", Tags: []rest.Tag{{Name: tag, Description: "The key and model routes that the aiXplain SDK calls."}},
	}
}

// errorView is the body of a refusal on the aiXplain routes. Its SDK takes
// the status from the body first, and its older half shows nothing but error.
type errorView struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Error      string `json:"error"`
	RetryAfter int64  `json:"retry_after_ms,omitempty"`
	RequestID  string `json:"requestId"`
}

// refuse sends a problem. There is no Retry-After: the SDK would sleep
// instead of raising its error.
func refuse(c *rest.Call, p *rest.Problem) {
	c.JSON(p.Status, errorView{
		StatusCode: p.Status, Message: p.Message, Error: p.Message, RetryAfter: p.RetryAfterMS(), RequestID: c.ID,
	})
}

// tag groups the routes in the OpenAPI document.
const tag = "aixplain"

// routes is the table of the routes: what serves each, and what the OpenAPI document
// says of it. Literal paths stand before those with parameters.
func (a *api) routes() []rest.Route {
	const keys, key = "/sdk/api-keys", "/sdk/api-keys/{id}"
	return []rest.Route{
		{
			Method: "GET", Path: keys, Access: rest.AccessAdmin, Handle: a.listKeys,
			ID: "listSDKKeys", Tag: tag,
			Summary: "List keys for the aiXplain SDK.", Reply: []keyView{},
		},
		{
			Method: "POST", Path: keys, Access: rest.AccessAdmin, Handle: a.createKey,
			ID: "createSDKKey", Tag: tag,
			Summary: "Create a key for the aiXplain SDK.", Request: keySchema(),
			Optional: schema.Members{rest.IdempotencyHeader: schema.Text}, Refusals: []int{http.StatusUnprocessableEntity},
			Status: http.StatusCreated, Reply: madeView{},
		},
		{
			Method: "GET", Path: keys + "/usage-limits", Access: rest.AccessKey, Handle: a.ownUsage,
			ID: "getOwnSDKUsage", Tag: tag,
			Summary: "Report the caller's usage of today.", Reply: []usageView{},
		},
		{
			Method: "GET", Path: key, Access: rest.AccessAdmin, Handle: a.getKey,
			ID: "getSDKKey", Tag: tag,
			Summary: "Show a key to the aiXplain SDK.", Reply: keyView{},
		},
		{
			Method: "PUT", Path: key, Access: rest.AccessAdmin, Handle: a.updateKey,
			ID: "replaceSDKKey", Tag: tag,
			Summary:  "Replace a key's settings; limits act from the next window on.",
			Refusals: []int{http.StatusUnprocessableEntity},
			Request:  keySchema(), Reply: keyView{},
		},
		{
			Method: "DELETE", Path: key, Access: rest.AccessAdmin, Handle: a.deleteKey,
			ID: "deleteSDKKey", Tag: tag,
			Summary: "Revoke a key.", Reply: keyView{},
		},
		{
			Method: "GET", Path: key + "/usage-limits", Access: rest.AccessAdmin, Handle: a.keyUsage,
			ID: "getSDKKeyUsage", Tag: tag,
			Summary: "Report a key's usage of today.", Reply: []usageView{},
		},
		{
			Method: "GET", Path: "/sdk/models/{id}", Access: rest.AccessKey, Handle: a.getModel,
			ID: "getSDKModel", Tag: tag,
			Summary: "Show a model to the aiXplain SDK.", Reply: modelView{},
		},
		{
			Method: "GET", Path: "/v2/models/{id}", Access: rest.AccessKey, Handle: a.getModel,
			ID: "getModelV2", Tag: tag,
			Summary: "Show a model to the aiXplain SDK.", Reply: modelView{},
		},
	}
}

// keySchema describes what the SDK sends to create or to replace a key.
func keySchema() schema.Schema {
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
