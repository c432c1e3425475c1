package dialect_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
)

func Example() {
	body := []byte(`{"model":"tiny","messages":[{"role":"user","content":"Hi"}]}`)
	route, _ := dialect.Classify("POST", "/v1/chat/completions")
	call, err := dialect.ReadRequest(route, body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Model, route.Class(), route.Spec.Permission)
	fmt.Printf("%s\n", call.Apply(body, dialect.Rewrite{Model: "org/tiny", OutputCap: 512}))

	meter := dialect.NewMeter(&call, true)
	meter.Body([]byte(`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}`))
	usage, reported := meter.Reported()
	fmt.Println(usage.Input, usage.Output, reported)
	// Output:
	// tiny chat inference
	// {"max_tokens":512,"model":"org/tiny","messages":[{"role":"user","content":"Hi"}]}
	// 9 3 true
}

// printer is a Sink that prints what it gets.
type printer struct{}

func (printer) Pass(events []byte) error { fmt.Printf("pass %q\n", events); return nil }
func (printer) Last(events []byte) error { fmt.Printf("last %q\n", events); return nil }

func ExampleMeter() {
	call, err := dialect.ReadRequest(mustClassify("/api/chat"), []byte(`{"model":"tiny","messages":[]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	meter := dialect.NewMeter(&call, true)
	for _, piece := range []string{
		`{"message":{"content":"Hel`, `lo"},"done":false}` + "\n",
		`{"done":true,"prompt_eval_count":26,"eval_count":2}` + "\n",
	} {
		if err := meter.Stream(dialect.NDJSON, []byte(piece), printer{}); err != nil {
			fmt.Println(err)
		}
	}
	usage, _ := meter.Reported()
	fmt.Println(call.Stream, meter.Complete(), usage.Input, usage.Output)
	// Output:
	// pass "{\"message\":{\"content\":\"Hello\"},\"done\":false}\n"
	// last "{\"done\":true,\"prompt_eval_count\":26,\"eval_count\":2}\n"
	// true true 26 2
}

func ExampleRefusal() {
	refusal := dialect.Refusal{
		Reason: dialect.Limited, Message: "2 requests a minute are allowed", RetryAfter: 30 * time.Second,
	}
	for _, name := range []dialect.Name{dialect.OpenAI, dialect.Aquin, dialect.Aixplain} {
		answer := httptest.NewRecorder()
		if err := refusal.Write(answer, name, "req_1"); err != nil {
			fmt.Println(err)
		}
		fmt.Printf("%s %d, wait %q\n", name, answer.Code, answer.Header().Get("Retry-After"))
		answer.Body.WriteTo(os.Stdout)
	}
	// Output:
	// openai 429, wait "30"
	// {"type":"error","error":{"type":"rate_limit_error","code":"rate_limit_exceeded","message":"2 requests a minute are allowed","param":null,"retry_after_ms":30000},"retry_after_ms":30000,"request_id":"req_1"}
	// aquin 429, wait "30"
	// {"error":"Rate limit exceeded","retry_after_ms":30000}
	// aixplain 497, wait ""
	// {"statusCode":497,"message":"Rate limit exceeded","error":"Rate limit exceeded","retry_after_ms":30000}
}

func mustClassify(path string) dialect.Route {
	route, known := dialect.Classify("POST", path)
	if !known {
		panic(path)
	}
	return route
}
