package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
)

// Calls of APIs that the kind of an upstream lacks arrive as chat completions, others as
// they are, unless the gate says otherwise.
func TestTheKindOfTheUpstreamDecidesWhatIsTranslated(t *testing.T) {
	paths := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[{"message":{"content":"four"}}],"content":[{"type":"text","text":"four"}],"output":[{"content":[{"text":"four"}]}]}`)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	policy := func(upstream string) string {
		return "\t\tlb_policy penstock {\n\t\t\tupstream " + address + " " + upstream + "\n\t\t}\n"
	}
	const chat = "/v1/chat/completions"
	for name, test := range map[string]struct{ block, messages, responses string }{
		"nothing said":  {"", "/v1/messages", "/v1/responses"},
		"vllm":          {policy("kind vllm"), "/v1/messages", "/v1/responses"},
		"penstock":      {policy("kind penstock"), chat, chat},
		"tgi":           {policy("kind tgi models tiny"), chat, chat},
		"another model": {policy("kind tgi models other"), "", ""},
		"off":           {policy("kind tgi") + "\t\tgate {\n\t\t\ttranslate off\n\t\t}\n", "/v1/messages", "/v1/responses"},
		"one of them":   {policy("kind vllm") + "\t\tgate {\n\t\t\ttranslate responses\n\t\t}\n", "/v1/messages", chat},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, demoOptions+"\n\t\tmodel other", "\tpenstock_proxy "+address+" {\n"+test.block+"\t}")
			for path, want := range map[string]string{"/v1/messages": test.messages, "/v1/responses": test.responses} {
				got := call(t, "POST", g.url+path, g.key("demo.key"), `{"model":"tiny","max_tokens":9,"max_output_tokens":9,"input":"q","messages":[{"role":"user","content":"q"}]}`)
				if want == "" {
					if got.status != 503 && got.status != 529 {
						t.Errorf("%s: %d %s", path, got.status, got.body)
					}
					continue
				}
				if arrived := <-paths; arrived != want || got.status != 200 || !strings.Contains(got.body, "four") {
					t.Errorf("%s arrived as %s, want %s: %d %s", path, arrived, want, got.status, got.body)
				}
			}
		})
	}
}

// What README's table says of the bundled backend.
func TestTheBundledBackendSpeaksMessagesAndResponses(t *testing.T) {
	g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
	backend := testkit.FreeAddress(t)
	g.url = "http://" + g.address
	mustLoad(t, "%s", g.config(demoOptions, "\tpenstock_proxy "+backend+" {\n\t\tlb_policy penstock {\n\t\t\tupstream "+backend+" kind penstock\n\t\t}\n\t}")+
		"\nhttp://"+backend+" {\n\tpenstock_backend\n}\n")
	const question = "What is a credit?"
	for _, test := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v1/messages", `{"model":"tiny","max_tokens":50,"messages":[{"role":"user","content":"` + question + `"}]}`, 200, `"stop_reason":"end_turn"`},
		{"/v1/messages", `{"model":"tiny","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"` + question + `"}]}`, 200, "event: message_stop"},
		{"/v1/responses", `{"model":"tiny","input":"` + question + `"}`, 200, `"status":"completed"`},
		{"/v1/responses", `{"model":"tiny","stream":true,"input":"` + question + `"}`, 200, "event: response.completed"},
		{"/v1/messages", `{"model":"tiny","max_tokens":50,"tools":[{"name":"f","input_schema":{}}],"messages":[{"role":"user","content":"q"}]}`, 400, `"type":"error"`},
		{"/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"q"}]}`, 404, "/v1/chat/completions works with every kind"},
		{"/api/generate", `{"model":"tiny","prompt":"q"}`, 404, "a server of the kind penstock, which has no /api/generate"},
		{"/completion", `{"prompt":"q"}`, 404, "which has no /completion"},
	} {
		got := call(t, "POST", g.url+test.path, g.key("demo.key"), test.body)
		if got.status != test.status || !strings.Contains(got.body, test.want) {
			t.Errorf("%s %s: %d %s", test.path, test.body, got.status, got.body)
		}
	}
}
