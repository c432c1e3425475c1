package dialect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// workPaths are the paths whose bodies are passed on to each kind of server, and a body
// up to its last member.
var workPaths = []struct {
	servers servers
	path    string
	body    string
	options string // object in which the path's servers keep their options
}{
	{^serverOllama, "/v1/chat/completions", `{"model":"m","messages":[]`, ""},
	{serverOllama, "/v1/chat/completions", `{"model":"m","messages":[]`, "options"},
	{^servers(0), "/v1/completions", `{"model":"m","prompt":"x"`, ""},
	{^servers(0), "/v1/responses", `{"model":"m","input":"x"`, ""},
	{^servers(0), "/v1/messages", `{"model":"m","messages":[]`, ""},
	{serverLlamaCpp, "/completion", `{"prompt":"x"`, ""},
	{serverOllama, "/api/generate", `{"model":"m","prompt":"x"`, "options"},
	{serverOllama, "/api/chat", `{"model":"m","messages":[]`, "options"},
	{serverTGI, "/generate", `{"inputs":"x"`, "parameters"},
	{serverTGI, "/generate_stream", `{"inputs":"x"`, "parameters"},
	{serverSGLang, "/generate", `{"text":"x"`, "sampling_params"},
}

// reserved is what a call reserves of its output.
type reserved struct{ cap, floor, answers int64 }

// wantWork is what a member with a value means, and whether it is refused.
func wantWork(member *workMember, value string, without reserved) (want reserved, refused bool) {
	want = without
	number := map[string]int64{"3": 3, "3.0": 3, "900": 900, "-1": -1, "0": 0}[value]
	whole := value == "3" || value == "3.0" || value == "900" || value == "-1" || value == "0"
	switch member.effect {
	case effectAnswers:
		want.answers = max(want.answers, number)
		refused = !whole || number < 1 || number > maxChoices
	case effectCap:
		want.cap = max(want.cap, number)
		refused = !whole || number < 1
	case effectFloor:
		want.floor = number
		refused = !whole || number < 0 || without.cap > 0 && number > without.cap
	case effectListed:
		refused = value != "true" && value != "false" && (!whole || number < 0 || number > maxChoices)
	case effectRefused:
		refused = value != "false" && value != "0"
	}
	if value == "null" {
		return without, false
	}
	return want, refused
}

func TestEveryMemberThatMakesWorkIsReadOrRefusedWhereverItStands(t *testing.T) {
	values := []string{"3", "3.0", "900", "-1", "0", "1.5", `"3"`, "true", "false", "null", `{"a":1}`}
	for _, at := range workPaths {
		for i := range workMembers {
			member := &workMembers[i]
			if member.servers&at.servers == 0 {
				continue
			}
			for _, value := range values {
				own := at.options != "" && route(t, at.path).Spec.request.cap.name == member.name
				for _, place := range []string{"", at.options, "extra_body", "extra_body.sampling_params"} {
					if value == "-1" && (own && place == at.options || member.name == "n_predict" && at.path == "/completion" && place == "") {
						continue // no cap, and tested elsewhere
					}
					if value == "0" && memberByName([]byte(member.name)) != memberNone && at.path == "/v1/completions" && place == "" {
						continue // it scores the prompt
					}
					checkWork(t, at.path, at.body, place, member, value)
				}
			}
		}
	}
}

// checkWork checks what a member means in one place of a body.
func checkWork(t *testing.T, path, body, place string, member *workMember, value string) {
	t.Helper()
	text := fmt.Sprintf(`"%s":%s`, member.name, value)
	param := member.name
	if place != "" {
		param = place + "." + param
		objects := strings.Split(place, ".")
		for i := len(objects) - 1; i >= 0; i-- {
			text = fmt.Sprintf(`"%s":{%s}`, objects[i], text)
		}
	}
	for _, before := range []string{"", `,"max_completion_tokens":20`} {
		if member.name == "max_completion_tokens" && before != "" {
			continue
		}
		without := reserved{answers: 1}
		if before != "" {
			without.cap = 20
		}
		want, refused := wantWork(member, value, without)
		whole := body + before + "," + text + "}"
		call, err := ReadRequest(route(t, path), []byte(whole))
		var mistake *RequestError
		switch {
		case refused && (!errors.As(err, &mistake) || mistake.Param != param):
			t.Errorf("%s %s\nis not refused for %s: %v", path, whole, param, err)
		case !refused && err != nil:
			t.Errorf("%s %s\nis refused: %v", path, whole, err)
		case !refused && (reserved{call.OutputCap, call.OutputFloor, call.Answers} != want):
			t.Errorf("%s %s\nreserves %+v, want %+v", path, whole, reserved{call.OutputCap, call.OutputFloor, call.Answers}, want)
		}
	}
}

func TestOfSeveralWordsForOneThingTheLargestCounts(t *testing.T) {
	for body, want := range map[string]reserved{
		`"n":2,"n_cmpl":5`:                       {0, 0, 5},
		`"n_cmpl":5,"n":2,"best_of":3`:           {0, 0, 5},
		`"num_return_sequences":2,"num_beams":6`: {0, 0, 6},
		`"n":2,"extra_body":{"n":7}`:             {0, 0, 7},
		`"max_tokens":5,"n_predict":60`:          {60, 0, 1},
		`"max_tokens":50,"extra_body":{"max_new_tokens":6,"options":{"num_predict":70}}`: {70, 0, 1},
		`"max_tokens":50,"min_tokens":5,"min_new_tokens":7`:                              {50, 7, 1},
	} {
		call, err := ReadRequest(route(t, "/v1/chat/completions"), []byte(`{"model":"m",`+body+`}`))
		if got := (reserved{call.OutputCap, call.OutputFloor, call.Answers}); err != nil || got != want {
			t.Errorf("%s reserves %+v, want %+v: %v", body, got, want, err)
		}
	}
	call, err := ReadRequest(route(t, "/v1/completions"), []byte(`{"model":"m","prompt":["a","b"],"n_cmpl":4}`))
	if err != nil || call.Answers != 8 {
		t.Errorf("two prompts with four answers each make %d: %v", call.Answers, err)
	}
}

func TestACapThatTheServerDoesNotObeyIsWrittenWhereItDoes(t *testing.T) {
	for path, test := range map[string][2]string{
		"/v1/chat/completions": {`{"model":"m","n_predict":30}`, `{"max_tokens":30,"model":"m","n_predict":30}`},
		"/api/generate":        {`{"model":"m","options":{"max_new_tokens":30}}`, `{"model":"m","options":{"num_predict":30,"max_new_tokens":30}}`},
		"/generate":            {`{"inputs":"x","parameters":{"num_predict":30}}`, `{"inputs":"x","parameters":{"max_new_tokens":30,"num_predict":30}}`},
		"/completion":          {`{"prompt":"x","extra_body":{"n_predict":30}}`, `{"n_predict":30,"prompt":"x","extra_body":{"n_predict":30}}`},
	} {
		call, err := ReadRequest(route(t, path), []byte(test[0]))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(call.Apply([]byte(test[0]), Rewrite{OutputCap: call.OutputCap})); got != test[1] {
			t.Errorf("%s: %s\nwant %s", path, got, test[1])
		}
	}
}

func TestWorkThatCannotBeReadIsRefused(t *testing.T) {
	deep := strings.Repeat(`"extra_body":{`, maxNesting+1) + `"n":9` + strings.Repeat("}", maxNesting+1)
	for _, test := range []struct{ path, body, param string }{
		{"/v1/chat/completions", `{"model":"m","n_cmpl":2,"n_cmpl":900}`, "n_cmpl"},
		{"/v1/chat/completions", `{"model":"m","N_CMPL":900}`, "n_cmpl"},
		{"/v1/chat/completions", `{"model":"m","n_cm\u0070l":900}`, "n_cmpl"},
		{"/v1/chat/completions", `{"model":"m","extra_body":{"Best_Of":9}}`, "best_of"},
		{"/v1/chat/completions", `{"model":"m","extra_body":{"model":"large"}}`, "extra_body.model"},
		{"/v1/chat/completions", `{"model":"m",` + deep + `}`, strings.Repeat("extra_body.", maxNesting) + "extra_body"},
		{"/v1/chat/completions", `{"model":"m","speculative.draft.n_max":64}`, "speculative.draft.n_max"},
		{"/v1/chat/completions", `{"model":"m","max_tokens":5,"min_tokens":6}`, "min_tokens"},
		{"/completion", `{"prompt":"x","n_probs":[1,900]}`, "n_probs"},
		{"/generate", `{"text":"x","session_params":{"id":"s"}}`, "session_params"},
		{"/v1/responses", `{"model":"m","prompt":{"id":"pmpt_1"}}`, "prompt"},
		{"/api/generate", `{"model":"m","prompt":"x","template":"{{.Prompt}}{{.Prompt}}"}`, "template"},
	} {
		_, err := ReadRequest(route(t, test.path), []byte(test.body))
		var mistake *RequestError
		if !errors.As(err, &mistake) || mistake.Param != test.param {
			t.Errorf("%s: %v, want an error for %s", test.body, err, test.param)
		}
	}
	// What the clients of some servers always send says nothing.
	if _, err := ReadRequest(route(t, "/api/generate"), []byte(`{"model":"m","prompt":"x","template":"","steps":0}`)); err != nil {
		t.Error(err)
	}
}

// What is translated has none of these: the body that goes on is a new one.
func TestTranslatedCallsLeaveWorkOut(t *testing.T) {
	for _, path := range []string{"/api/infer", "/api/v2/execute/m"} {
		body := []byte(`{"prompt":"x","text":"x","n":9,"n_cmpl":9,"min_tokens":400,"chat_template":"9","options":{"best_of":9},"extra_body":{"n":9}}`)
		call, err := ReadRequest(route(t, path), body)
		if err != nil || call.Answers != 1 || call.OutputFloor != 0 {
			t.Errorf("%s: %d answers of at least %d tokens: %v", path, call.Answers, call.OutputFloor, err)
			continue
		}
		chat, err := call.ToChat(body, "m")
		if err != nil || strings.ContainsAny(string(chat.Body(7)), "9") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
