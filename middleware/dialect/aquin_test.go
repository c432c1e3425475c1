package dialect

import "testing"

func TestAquinCallsBecomeChats(t *testing.T) {
	const end = `],"max_tokens":64,"temperature":0.7}`
	checkTranslations(t, []translationCase{
		{"prompt", "/api/infer", `{"prompt":"Hi","system_prompt":"Be \"brief\""}`, `{"model":"org/m","messages":[{"role":"system","content":"Be \"brief\""},{"role":"user","content":"Hi"}` + end},
		{"messages win", "/api/v1/model", `{"prompt":"no","messages":[{"role":"user","content":"Hi"}]}`, `{"model":"org/m","messages":[{"role":"user","content":"Hi"}` + end},
		{"its own temperature", "/api/infer", `{"prompt":"Hi","temperature":0}`, `{"model":"org/m","messages":[{"role":"user","content":"Hi"}],"max_tokens":64,"temperature":0}`},
		{"nothing", "/api/infer", `{"prompt":" "}`, `"prompt" or "messages" is required`},
		{"messages without a role", "/api/infer", `{"messages":[{"content":"Hi"}]}`, `"messages" must hold objects with a role and a content`},
	})
}

func TestAquinAnswers(t *testing.T) {
	answer := Answer{Text: "four", InputTokens: 9, OutputTokens: 3, CreditsCharged: "0.1"}
	if got := string(answer.Body(&inferSpec)); got != `{"text":"four","tokens_in":9,"tokens_out":3}` {
		t.Error(got)
	}
}
