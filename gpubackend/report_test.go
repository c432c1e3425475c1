package gpubackend

import (
	"net/http"
	"strings"
	"testing"
)

func TestLoadIsReportedOnRequest(t *testing.T) {
	_, front := start(t)
	for format, want := range map[string]string{"": "", "JSON": `JSON {"named_metrics":{"kv_cache_usage_perc":`, "TEXT": "TEXT named_metrics.kv_cache_usage_perc="} {
		request, _ := http.NewRequest(http.MethodPost, front.URL+"/infer", strings.NewReader(`{"prompt":"Hi","max_tokens":1}`))
		request.Header.Set("Endpoint-Load-Metrics-Format", format)
		reply, err := front.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if got := reply.Header.Get("Endpoint-Load-Metrics"); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("format %q: %q", format, got)
		}
	}
}
