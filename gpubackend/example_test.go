package gpubackend_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/penstockhq/penstock/gpubackend"
)

// The server is an http.Handler: mount it where you like.
func Example() {
	server, err := gpubackend.New(gpubackend.WithSlots(4), gpubackend.WithThreads(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	front := httptest.NewServer(server)
	defer front.Close()

	reply, err := http.Post(front.URL+"/infer", "application/json", strings.NewReader(`{"prompt":"What is a credit?","max_tokens":8}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reply.Body.Close()
	var body struct {
		Text      string
		TokensOut int `json:"tokens_out"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&body); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(reply.StatusCode, body.Text != "", body.TokensOut <= 8, reply.Header.Get("X-Inference-Ms") != "")
	// Output: 200 true true true
}
