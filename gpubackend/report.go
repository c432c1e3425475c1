package gpubackend

import (
	"fmt"
	"net/http"
)

// reportLoad answers the request header endpoint-load-metrics-format with the
// server's load, in the format of Open Request Cost Aggregation that load
// balancers ask vLLM for.
func (s *Server) reportLoad(w http.ResponseWriter, r *http.Request) {
	format := r.Header.Get("Endpoint-Load-Metrics-Format")
	if format == "" {
		return
	}
	status := s.scheduler.Status()
	usage := float64(status.PagesInUse) / float64(max(1, status.Pages))
	switch format {
	case "JSON":
		w.Header().Set("Endpoint-Load-Metrics", fmt.Sprintf(
			`JSON {"named_metrics":{"kv_cache_usage_perc":%.4f,"num_requests_waiting":%d,"num_requests_running":%d}}`,
			usage, status.Waiting, status.Running))
	case "TEXT":
		w.Header().Set("Endpoint-Load-Metrics", fmt.Sprintf(
			"TEXT named_metrics.kv_cache_usage_perc=%.4f, named_metrics.num_requests_waiting=%d, named_metrics.num_requests_running=%d",
			usage, status.Waiting, status.Running))
	}
}
