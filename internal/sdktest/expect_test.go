package sdktest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// expectation is what a client must make of the gateway's answer.
type expectation struct {
	ok     string // the result as JSON
	class  string // of the exception
	status int
	code   string
	seen   string // pieces of the stream before the exception
}

// both clients of OpenAI choose the class by the status alone.
var openAI = map[string]expectation{
	"chat":                        {ok: `["four",12,true]`},
	"stream":                      {ok: `["one"," two"]`},
	"stream with usage":           {ok: `["one"," two",2]`},
	"completions":                 {ok: `"four"`},
	"embeddings":                  {ok: `[[0.5,-0.25],2]`},
	"responses":                   {ok: `["four",3]`},
	"responses stream":            {ok: `["four",3]`},
	"speech":                      {ok: `4000`},
	"transcription":               {ok: `"four"`},
	"images":                      {ok: `2`},
	"moderation":                  {ok: `false`},
	"models":                      {ok: `["busy","dies","fails","slow","tiny"]`},
	"one model":                   {ok: `"tiny"`},
	"model of another key":        {class: "NotFoundError", status: 404, code: "model_not_found"},
	"wrong key":                   {class: "AuthenticationError", status: 401, code: "invalid_api_key"},
	"revoked key":                 {class: "AuthenticationError", status: 401, code: "invalid_api_key"},
	"admin key":                   {class: "PermissionDeniedError", status: 403, code: "permission_denied"},
	"forbidden model":             {class: "PermissionDeniedError", status: 403, code: "model_not_allowed"},
	"unknown model":               {class: "NotFoundError", status: 404, code: "model_not_found"},
	"bad request":                 {class: "BadRequestError", status: 400, code: "invalid_request"},
	"no credit":                   {class: "APIError", status: 402, code: "insufficient_quota"},
	"too large":                   {class: "APIError", status: 413, code: "request_too_large"},
	"never fits":                  {class: "BadRequestError", status: 400, code: "request_exceeds_limit"},
	"rate limit":                  {class: "RateLimitError", status: 429, code: "rate_limit_exceeded"},
	"upstream busy":               {class: "InternalServerError", status: 503, code: "upstream_busy"},
	"upstream fails":              {class: "InternalServerError", status: 500, code: "upstream_failed"},
	"mid-stream failure":          {class: "APIError", code: "upstream_failed", seen: "one, two"},
	"retry honoured":              {ok: `["four","four"]`},
	"no retry of a final refusal": {class: "APIError", status: 402, code: "insufficient_quota"},
}

var anthropic = map[string]expectation{
	"message":                     {ok: `["four",3,true]`},
	"stream":                      {ok: `["one"," two"]`},
	"final message":               {ok: `["one two",9,3]`},
	"models":                      {ok: `["busy","dies","fails","slow","tiny"]`},
	"one model":                   {ok: `"tiny"`},
	"model of another key":        {class: "NotFoundError", status: 404},
	"count tokens":                {ok: `9`},
	"count tokens by the gate":    {ok: `true`},
	"wrong key":                   {class: "AuthenticationError", status: 401},
	"admin key":                   {class: "PermissionDeniedError", status: 403},
	"forbidden model":             {class: "PermissionDeniedError", status: 403},
	"unknown model":               {class: "NotFoundError", status: 404},
	"bad request":                 {class: "BadRequestError", status: 400},
	"no credit":                   {class: "PaymentRequiredError", status: 402},
	"too large":                   {class: "ContentTooLargeError", status: 413},
	"rate limit":                  {class: "RateLimitError", status: 429},
	"overloaded":                  {class: "OverloadedError", status: 529},
	"mid-stream failure":          {class: "APIError", seen: "one, two"},
	"no retry of a final refusal": {class: "PaymentRequiredError", status: 402},
}

// check compares what the clients gave with what they must give.
func check(t *testing.T, outcomes map[string]outcome) {
	for client, wanted := range map[string]map[string]expectation{"openai 7": openAI, "openai 6": openAI, "anthropic": anthropic} {
		for _, scenario := range slices.Sorted(maps.Keys(wanted)) {
			name := client + ": " + scenario
			want := wanted[scenario]
			t.Run(name, func(t *testing.T) {
				got, ok := outcomes[name]
				if !ok {
					t.Fatal("did not run")
				}
				if want.ok != string(got.OK) || want.class != got.Class || want.status != got.Status || want.code != "" && want.code != got.Code || want.seen != strings.Join(got.Seen, ",") {
					t.Errorf("%+v, result %s; want %+v", got, got.OK, want)
				}
				if scenario == "retry honoured" && got.MS < 1000 {
					t.Errorf("the client came back after %d ms, the gate said 1000", got.MS)
				}
				if want.class != "" && want.status != 0 && !got.RequestID {
					t.Error("the exception has no request id")
				}
			})
		}
	}
}
