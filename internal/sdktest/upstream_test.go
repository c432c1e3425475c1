package sdktest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// request is what the upstream reads of a call.
type request struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// upstream is an inference server as far as the clients can tell: it speaks the
// APIs of both vendors, and its models fail in the ways that their names say.
func upstream(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/audio/transcriptions" {
		if _, _, err := r.FormFile("file"); err != nil || r.FormValue("model") != "tiny" {
			http.Error(w, "no file or model", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"text":"four","usage":{"type":"duration","seconds":2}}`)
		return
	}
	var call request
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		http.Error(w, `{"error":{"message":"not JSON"}}`, http.StatusBadRequest)
		return
	}
	switch call.Model {
	case "busy":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"message":"all slots are taken"}`)
		return
	case "fails":
		http.Error(w, "boom", http.StatusInternalServerError)
		return
	case "slow":
		time.Sleep(800 * time.Millisecond)
	}
	w.Header().Set("Content-Type", "application/json")
	if call.Stream {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	switch r.URL.Path {
	case "/v1/chat/completions":
		chat(w, call)
	case "/v1/completions":
		io.WriteString(w, `{"id":"c","object":"text_completion","created":1,"model":"tiny","choices":[{"index":0,"text":"four","finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5}}`)
	case "/v1/embeddings":
		io.WriteString(w, `{"object":"list","model":"tiny","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.25]},{"object":"embedding","index":1,"embedding":[0.5,-0.25]}],"usage":{"prompt_tokens":2,"total_tokens":2}}`)
	case "/v1/audio/speech":
		w.Header().Set("Content-Type", "audio/mpeg")
		w.Write(make([]byte, 4000))
	case "/v1/images/generations":
		io.WriteString(w, `{"created":1,"data":[{"b64_json":"QQ=="},{"b64_json":"QQ=="}],"usage":{"input_tokens":3,"output_tokens":500,"total_tokens":503}}`)
	case "/v1/moderations":
		io.WriteString(w, `{"id":"m","model":"tiny","results":[{"flagged":false,"categories":{},"category_scores":{}}]}`)
	case "/v1/responses":
		responses(w, call)
	case "/v1/messages/count_tokens":
		io.WriteString(w, `{"input_tokens":9}`)
	case "/v1/messages":
		messages(w, call)
	default:
		http.NotFound(w, r)
	}
}

// send writes one event at once.
func send(w http.ResponseWriter, format string, arguments ...any) {
	fmt.Fprintf(w, format+"\n\n", arguments...)
	w.(http.Flusher).Flush()
}

func chat(w http.ResponseWriter, call request) {
	if !call.Stream {
		io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":"four"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`)
		return
	}
	for _, word := range []string{"one", " two"} {
		send(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`, word)
	}
	if call.Model == "dies" {
		panic(http.ErrAbortHandler)
	}
	send(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)
	if call.StreamOptions.IncludeUsage {
		send(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`)
	}
	send(w, "data: [DONE]")
}

func responses(w http.ResponseWriter, call request) {
	const whole = `{"id":"r","object":"response","created_at":1,"status":"completed","model":"tiny","output":[{"type":"message","id":"m","role":"assistant","status":"completed","content":[{"type":"output_text","text":"four","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":3,"total_tokens":12}}`
	if !call.Stream {
		io.WriteString(w, whole)
		return
	}
	send(w, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"four\",\"sequence_number\":1}")
	send(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":%s}", whole)
}

func messages(w http.ResponseWriter, call request) {
	if !call.Stream {
		io.WriteString(w, `{"id":"m","type":"message","role":"assistant","model":"tiny","content":[{"type":"text","text":"four"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":3}}`)
		return
	}
	send(w, "event: message_start\ndata: %s", `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"tiny","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}`)
	send(w, "event: content_block_start\ndata: %s", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
	for _, word := range []string{"one", " two"} {
		send(w, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":%q}}", word)
	}
	if call.Model == "dies" {
		panic(http.ErrAbortHandler)
	}
	send(w, "event: content_block_stop\ndata: %s", `{"type":"content_block_stop","index":0}`)
	send(w, "event: message_delta\ndata: %s", `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}`)
	send(w, "event: message_stop\ndata: %s", `{"type":"message_stop"}`)
}
