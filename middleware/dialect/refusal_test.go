package dialect

import (
	"fmt"
	"strings"
	"testing"
)

func TestRefusalsHaveTheShapeOfTheirDialect(t *testing.T) {
	limited := Refusal{Reason: Limited, Message: "Rate limit exceeded: 2 requests per minute", RetryAfter: 41200e6}
	daily := Refusal{Reason: LimitedForDay, Message: "x", RetryAfter: 3600e9}
	minute := Refusal{Reason: Limited, Message: "x", RetryAfter: 60_001e6}
	longer := Refusal{Reason: Limited, Message: "x", RetryAfter: 60_002e6}
	for _, test := range []struct {
		refusal Refusal
		name    Name
		status  int
		body    string
		retry   string
	}{
		{limited, Aquin, 429, `{"error":"Rate limit exceeded","retry_after_ms":41200}`, "42 41200 "},
		{limited, Aixplain, 497, `{"statusCode":497,"message":"Rate limit exceeded","error":"Rate limit exceeded","retry_after_ms":41200}`, "  "},
		{daily, Aixplain, 429, `{"statusCode":429,"message":"Rate limit exceeded","error":"Rate limit exceeded","retry_after_ms":3600000}`, "  "},
		{limited, OpenAI, 429, `{"type":"error","error":{"type":"rate_limit_error","code":"rate_limit_exceeded","message":"Rate limit exceeded: 2 requests per minute","param":null,"retry_after_ms":41200},"retry_after_ms":41200,"request_id":"r"}`, "42 41200 "},
		{daily, OpenAI, 429, `{"type":"error","error":{"type":"rate_limit_error","code":"rate_limit_exceeded","message":"x","param":null,"retry_after_ms":3600000},"retry_after_ms":3600000,"request_id":"r"}`, "3600 3600000 false"},
		{minute, Aquin, 429, `{"error":"Rate limit exceeded","retry_after_ms":60001}`, "61 60001 "},
		{longer, Aquin, 429, `{"error":"Rate limit exceeded","retry_after_ms":60002}`, "61 60002 false"},
		{Refusal{Reason: Overloaded, Message: "x"}, Anthropic, 529, `{"type":"error","error":{"type":"overloaded_error","code":"overloaded","message":"x","param":null},"request_id":"r"}`, "  "},
		{Refusal{Reason: Overloaded, Message: "x"}, OpenAI, 503, `{"type":"error","error":{"type":"overloaded_error","code":"overloaded","message":"x","param":null},"request_id":"r"}`, "  "},
		{Refusal{Reason: NoCredit, Message: "x", Final: true}, Aquin, 402, `{"error":"x"}`, "  false"},
	} {
		header := map[string][]string{}
		test.refusal.SetHeaders(header, test.name)
		get := func(name string) string { return strings.Join(header[name], "") }
		retry := fmt.Sprintf("%s %s %s", get("Retry-After"), get("Retry-After-Ms"), get("X-Should-Retry"))
		body := strings.TrimSuffix(string(test.refusal.Body(test.name, "r")), "\n")
		if status := test.refusal.StatusFor(test.name); status != test.status || body != test.body || retry != test.retry {
			t.Errorf("%s:\n got %d %s %q\nwant %d %s %q", test.name, status, body, retry, test.status, test.body, test.retry)
		}
	}
}
