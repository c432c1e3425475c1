package gpubackend

import (
	"io"
	"strings"
	"testing"
)

func TestMetricsCountWhatWasDone(t *testing.T) {
	_, front := start(t, WithVLLMMetrics(), WithModelName("first", "second"))
	post(t, front, "/infer", `{"model":"second","prompt":"Hi","max_tokens":7,"ignore_eos":true}`)
	reply, err := front.Client().Get(front.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(reply.Body)
	for _, want := range []string{
		`gpubackend_requests_finished_total{`, `gpubackend_time_to_first_token_seconds_count 1`, `gpubackend_busy_seconds_total{`,
		`vllm:num_requests_running{model_name="first"} 0`, `vllm:num_requests_waiting{model_name="first"} 0`,
		`vllm:generation_tokens_total{model_name="first"} 7`, `vllm:kv_cache_usage_perc{model_name="first"} 0`,
		`vllm:prompt_tokens_total{model_name="first"}`, `vllm:time_to_first_token_seconds_count{model_name="first"} 1`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	_, plain := start(t)
	post(t, plain, "/v1/embeddings", `{"input":"Hi"}`)
	other, err := plain.Client().Get(plain.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Body.Close()
	text, _ = io.ReadAll(other.Body)
	if strings.Contains(string(text), "vllm") {
		t.Error("vLLM's names are there unasked")
	}
	for _, want := range []string{`gpubackend_inference_seconds_count 1`, `gpubackend_time_to_first_token_seconds_count 0`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("after an embedding there is no %s in\n%s", want, text)
		}
	}
}
