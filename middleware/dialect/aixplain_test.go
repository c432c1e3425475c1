package dialect

import "testing"

func TestAixplainCallsBecomeChats(t *testing.T) {
	const path, begin, end = "/api/v2/execute/m", `{"model":"org/m","messages":[`, `],"max_tokens":64}`
	checkTranslations(t, []translationCase{
		{"text", path, `{"text":"Hi"}`, begin + `{"role":"user","content":"Hi"}` + end},
		{"messages", path, `{"text":[{"role":"user","content":"Hi"}]}`, begin + `{"role":"user","content":"Hi"}` + end},
		{
			"the older client", "/api/v1/execute/m", `{"data":"Hi","context":"Be brief","prompt":"Translate","history":[{"role":"user","content":"a"}]}`,
			begin + `{"role":"system","content":"Be brief"},{"role":"user","content":"a"},{"role":"user","content":"Translate\nHi"}` + end,
		},
		{"nothing", path, `{"text":null}`, `"text" or "data" is required`},
		{"no messages", path, `{"text":[]}`, `"text" must not be empty`},
		{"a number", path, `{"data":7}`, `"data" must be a string or a list of messages`},
	})
}

func TestAixplainAnswers(t *testing.T) {
	answer := Answer{Text: "four", InputTokens: 9, OutputTokens: 3, RunSeconds: 1.5, CreditsCharged: "0.1", Model: "m"}
	for got, want := range map[string]string{
		string(answer.Body(&executeSpec)): `{"status":"SUCCESS","completed":true,"data":"four","runTime":1.5,"usedCredits":0.1,` +
			`"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12},"asset":{"assetId":"m","id":"m"}}`,
		string(Started("https://x/1")): `{"status":"IN_PROGRESS","completed":false,"data":"https://x/1"}`,
		string(Running()):              `{"status":"IN_PROGRESS","completed":false}`,
		string(Failed([]byte(`{"statusCode":429,"message":"m","error":"e"}`))): `{"status":"FAILED","completed":true,"statusCode":429,"message":"m","error":"e"}`,
		string(Failed([]byte(`<html>`))):                                       `{"status":"FAILED","completed":true,"statusCode":502,"message":"the run failed","error":"the run failed"}`,
	} {
		if got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}
