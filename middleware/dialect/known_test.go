package dialect

import (
	"errors"
	"testing"
)

func TestStrictMembersRefusesWhatNoServerOfThePathKnows(t *testing.T) {
	for _, test := range []struct{ path, body, param string }{
		{"/v1/chat/completions", `{"model":"m","messages":[],"temperature":1,"top_k":4,"dry_base":2,"chat_template_kwargs":{}}`, ""},
		{"/v1/chat/completions", `{"model":"m","messages":[],"n_copies":900}`, "n_copies"},
		{"/v1/chat/completions", `{"model":"m","messages":[],"n_cop\u0069es":900}`, "n_copies"},
		{"/v1/messages", `{"model":"m","messages":[],"max_tokens":5,"thinking":{},"system":"x"}`, ""},
		{"/v1/messages", `{"model":"m","messages":[],"inputs":"x"}`, "inputs"},
		{"/api/chat", `{"model":"m","messages":[],"keep_alive":"5m","options":{"num_ctx":9}}`, ""},
		{"/api/chat", `{"model":"m","messages":[],"min_p":0.1}`, "min_p"},
		{"/generate", `{"text":"x","image_data":"","sampling_params":{"n":2}}`, ""},
		{"/generate", `{"inputs":"x","parameters":{"best_of":2}}`, ""},
		{"/generate", `{"inputs":"x","copies":2}`, "copies"},
		{"/v1/rerank", `{"model":"m","query":"q","documents":[],"top_n":2}`, ""},
		{"/v1/rerank", `{"model":"m","query":"q","documents":[],"repeat":2}`, "repeat"},
		{"/api/infer", `{"prompt":"x","system_prompt":"y"}`, ""},
		{"/api/v2/execute/m", `{"text":"x","supplier":"y"}`, "supplier"},
	} {
		_, err := Reader{StrictMembers: true}.Read(route(t, test.path), []byte(test.body))
		var mistake *RequestError
		if test.param == "" && err != nil || test.param != "" && (!errors.As(err, &mistake) || mistake.Param != test.param) {
			t.Errorf("%s %s: %v, want an error for %q", test.path, test.body, err, test.param)
		}
		if _, err := ReadRequest(route(t, test.path), []byte(test.body)); err != nil {
			t.Errorf("%s %s is refused without strict members: %v", test.path, test.body, err)
		}
	}
}

func TestEveryOperationHasItsKnownMembers(t *testing.T) {
	for _, spec := range append([]*Spec{&sglangSpec}, specs...) {
		if sends := spec.Handling == SendCall || spec.Handling == StartRun || spec.Handling == CountTokens; sends != (len(knownMembers[spec]) > 0) {
			t.Errorf("%s %s: %d known members", spec.Dialect, spec.Class, len(knownMembers[spec]))
		}
	}
}
