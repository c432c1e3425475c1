package dialect

import (
	"encoding/json"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

var aixplain = description{
	name: "aixplain",
	prefixes: []string{
		"/api/v1/execute", "/api/v2/execute", "/api/v1/data", "/sdk/", "/v2/models",
	},
	doubledSlash: true,
	refusal: func(r *Refusal, status int) any {
		return aixplainError{status, r.short(), r.short(), r.RetryMilliseconds(), r.Bound}
	},
	refusalInStream: true,
	// 497 is aiXplain's own, for limits per minute. Its clients look for 497 and 429 only,
	// also where the call can never fit.
	statuses:       map[Reason]int{Limited: 497, OverLimit: 497, OverDayLimit: 429},
	noRetryHeaders: true, // its client would sleep inside the call
}

var aixplainTranslation = translation{messages: aixplainMessages, answer: aixplainAnswer}

var aixplainCap = capShape{name: "max_tokens", obeyed: setOf(memberMaxTokens)}

var executeSpec = Spec{
	Dialect: Aixplain, Class: "execute", Method: "POST", Paths: []string{"/api/v2/execute/"},
	Permission: PermissionInference, ModelInPath: true,
	request: requestShape{
		cap: aixplainCap, options: setOf(memberOptions), streamInOptions: true,
	},
	translation: &aixplainTranslation,
}

// startSpec runs in the background; its client polls for the result.
var startSpec = Spec{
	Dialect: Aixplain, Class: "execute", Method: "POST", Paths: []string{"/api/v1/execute/"},
	Permission: PermissionInference, Handling: StartRun, ModelInPath: true,
	request: requestShape{
		cap: aixplainCap, options: setOf(memberOptions), stream: streamIgnored,
	},
	translation: &aixplainTranslation,
}

var pollSpec = Spec{
	Dialect: Aixplain, Class: "execute", Method: "GET", Paths: []string{"/api/v1/data/"},
	Handling: PollRun,
}

type aixplainError struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Error      string `json:"error"`
	RetryAfter int64  `json:"retry_after_ms,omitempty"`
	Limit      *Bound `json:"limit,omitempty"`
}

// aixplainMessages reads text or data: a string or a list of messages. The older
// client adds context (a system prompt), history and a prompt to put before data.
func aixplainMessages(body []byte) ([]json.RawMessage, error) {
	var given struct {
		Text    json.RawMessage   `json:"text"`
		Data    json.RawMessage   `json:"data"`
		Context *string           `json:"context"`
		Prompt  *string           `json:"prompt"`
		History []json.RawMessage `json:"history"`
	}
	if err := decode(body, &given); err != nil {
		return nil, err
	}
	name, input := "text", absentIfNull(given.Text)
	if input == nil {
		name, input = "data", absentIfNull(given.Data)
	}
	var messages []json.RawMessage
	if given.Context != nil && *given.Context != "" {
		messages = append(messages, message("system", *given.Context))
	}
	if err := checkMessages("history", given.History); err != nil {
		return nil, err
	}
	messages = append(messages, given.History...)
	if len(input) == 0 {
		return nil, &RequestError{Param: "text", Message: `"text" or "data" is required`}
	}
	switch input[0] {
	case '"':
		text := jsonscan.Unquote(input)
		if given.Prompt != nil && *given.Prompt != "" {
			text = *given.Prompt + "\n" + text
		}
		return append(messages, message("user", text)), nil
	case '[':
		var list []json.RawMessage
		if err := decode(input, &list); err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, badMember(name, "must not be empty")
		}
		if err := checkMessages(name, list); err != nil {
			return nil, err
		}
		return append(messages, list...), nil
	}
	return nil, badMember(name, "must be a string or a list of messages")
}

type aixplainRun struct {
	Status      string         `json:"status"`
	Completed   bool           `json:"completed"`
	Data        string         `json:"data"`
	RunTime     float64        `json:"runTime"`
	UsedCredits json.Number    `json:"usedCredits"`
	Usage       *aixplainUsage `json:"usage,omitempty"`
	Asset       *aixplainAsset `json:"asset,omitempty"`
}

type aixplainUsage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
}

type aixplainAsset struct {
	AssetID string `json:"assetId"`
	ID      string `json:"id"`
}

func aixplainAnswer(a *Answer) any {
	return aixplainRun{
		Status: "SUCCESS", Completed: true, Data: a.Text, RunTime: a.RunSeconds, UsedCredits: a.CreditsCharged,
		Usage: &aixplainUsage{a.InputTokens, a.OutputTokens, a.InputTokens + a.OutputTokens},
		Asset: &aixplainAsset{a.Model, a.Model},
	}
}

// Started returns the reply to an aiXplain call that runs in the background. Its
// client polls the address for the result.
func Started(address string) []byte {
	body, err := json.Marshal(struct {
		Status    string `json:"status"`
		Completed bool   `json:"completed"`
		Data      string `json:"data"`
	}{"IN_PROGRESS", false, address})
	if err != nil {
		panic(err)
	}
	return body
}

// Running returns the reply to a poll for a result that is not there yet.
func Running() []byte { return []byte(`{"status":"IN_PROGRESS","completed":false}`) }

// Failed returns the reply to a poll for a run that failed. refused is the refusal in
// aiXplain's shape.
func Failed(refused []byte) []byte {
	failure := struct {
		Status    string `json:"status"`
		Completed bool   `json:"completed"`
		aixplainError
	}{Status: "FAILED", Completed: true}
	if json.Unmarshal(refused, &failure.aixplainError) != nil || failure.Error == "" {
		failure.StatusCode, failure.Message, failure.Error = 502, "the run failed", "the run failed"
	}
	body, err := json.Marshal(failure)
	if err != nil {
		panic(err)
	}
	return body
}
