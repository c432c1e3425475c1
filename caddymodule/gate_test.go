package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

func TestRefusalsReachNoUpstreamAndCountNothing(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions+"\n\t\tdefault_limits rpm 2", "penstock_proxy "+u.address()+" {\n\t\tgate {\n\t\t\tmax_body 1KiB\n\t\t}\n\t}")
	key, admin := g.key("demo.key"), g.key("admin.key")
	_, broke, err := g.engine().Ledger.CreateKey(t.Context(), ledger.NewKey{Name: "poor", Owner: "poor"})
	if err != nil {
		t.Fatal(err)
	}
	chatURL := g.url + "/v1/chat/completions"
	for _, test := range []struct {
		name, url, key, body string
		status               int
	}{
		{"no key", chatURL, "", chat(false), 401},
		{"malformed key", chatURL, "pk_m_nonsense", chat(false), 401},
		{"admin key", chatURL, admin, chat(false), 403},
		{"unknown model", chatURL, key, strings.Replace(chat(false), "tiny", "huge", 1), 404},
		{"unknown path", g.url + "/v1/secret", key, chat(false), 404},
		{"no credit", chatURL, broke.Reveal(), chat(false), 402},
		{"too large", chatURL, key, chat(false) + strings.Repeat(" ", 1024), 413},
		{"no JSON", chatURL, key, "prompt=hello", 400},
	} {
		if reply := call(t, "POST", test.url, test.key, test.body); reply.status != test.status {
			t.Errorf("%s: %+v, want %d", test.name, reply, test.status)
		}
	}
	if calls := u.calls.Load(); calls != 0 {
		t.Errorf("%d refused calls reached the upstream", calls)
	}
	if entries := g.settled(); len(entries) != 0 {
		t.Errorf("refused calls have entries: %+v", entries)
	}
	for i := range 3 {
		reply := call(t, "POST", chatURL, key, chat(false))
		if i < 2 && reply.status != 200 {
			t.Fatalf("call %d: a refusal was counted: %+v", i, reply)
		}
		if i == 2 {
			wait, _ := strconv.Atoi(reply.header.Get("Retry-After-Ms"))
			if reply.status != 429 || wait < 1 || wait > 60_000 || reply.header.Get("Retry-After") == "" || !strings.Contains(reply.body, fmt.Sprintf(`"retry_after_ms":%d`, wait)) {
				t.Errorf("over the limit: %+v", reply)
			}
		}
	}
}

func TestHandleBlocksDoNotWalkAroundTheGate(t *testing.T) {
	u := newUpstream(t, nil)
	for name, site := range map[string]string{
		"handle":      "handle /v1/* {\n\t\treverse_proxy %s\n\t}\n\tpenstock",
		"handle_path": "handle_path /x/* {\n\t\treverse_proxy %s\n\t}\n\tpenstock",
		"route":       "route {\n\t\treverse_proxy %s\n\t}\n\tpenstock",
		"respond":     "respond open\n\tpenstock",
		"bare proxy":  "reverse_proxy %s\n\tpenstock",
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, demoOptions, strings.ReplaceAll(site, "%s", u.address()))
			for _, path := range []string{"/v1/chat/completions", "/x/v1/chat/completions", "//v1/chat/completions", "/v1/../v1/chat/completions", "/"} {
				if reply := call(t, "POST", g.url+path, "", chat(false)); reply.status != 401 {
					t.Errorf("%s without a key: %+v", path, reply)
				}
			}
		})
	}
	if calls := u.calls.Load(); calls != 0 {
		t.Errorf("%d calls without a key reached the upstream", calls)
	}
}

func TestUpstreamSeesNeitherKeyNorForgedHeaders(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions, "penstock_proxy "+u.address())
	key := g.key("demo.key")
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key"} {
		request := newRequest(t, "POST", g.url+"/v1/chat/completions", "", chat(false))
		request.Header.Set(name, map[bool]string{true: "Bearer " + key, false: key}[name == "Authorization"])
		request.Header.Set("X-Penstock-Credits-Charged", "0")
		request.Header.Set("X-Inference-Ms", "0")
		reply, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if reply.StatusCode != 200 {
			t.Fatalf("%s: status %d", name, reply.StatusCode)
		}
		seen := <-u.seen
		if strings.Contains(fmt.Sprint(seen), key) || seen.Get("X-Penstock-Credits-Charged") != "" || seen.Get("X-Inference-Ms") != "" {
			t.Errorf("%s: the upstream saw %d headers with the key or a forged one", name, len(seen))
		}
	}
}

func TestFailingUpstreamIsAnsweredInTheDialectAndCostsNothing(t *testing.T) {
	g := start(t, demoOptions, "penstock_proxy "+testkit.FreeAddress(t))
	reply := call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false))
	if reply.status != 502 || !json.Valid([]byte(reply.body)) || !strings.Contains(reply.body, `"error"`) {
		t.Errorf("got %+v", reply)
	}
	if account, _ := g.engine().Ledger.Account("demo"); account.Spent != 0 || account.Held != 0 {
		t.Errorf("the failed call cost: %+v", account)
	}
}

func TestErrorsPassthroughLeavesRefusalsToErrorRoutes(t *testing.T) {
	g := start(t, demoOptions+"\n\t\tdefault_limits rpm 1", `penstock {
		errors passthrough
	}
	respond "{\"choices\":[{\"message\":{\"content\":\"served\"}}]}"
	handle_errors {
		respond "{err.status_code} {penstock.error.code} {penstock.limit} {penstock.retry_after_ms}"
	}`)
	if reply := call(t, "POST", g.url+"/v1/chat/completions", "", chat(false)); reply.status != 401 || !strings.HasPrefix(reply.body, "401 ") {
		t.Errorf("without a key: %+v", reply)
	}
	key := g.key("demo.key")
	if reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false)); reply.status != 200 {
		t.Errorf("first call: %+v", reply)
	}
	reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false))
	words := strings.Fields(reply.body)
	if reply.status != 429 || len(words) != 4 || words[2] != "rpm" || words[3] != reply.header.Get("Retry-After-Ms") {
		t.Errorf("second call: %+v", reply)
	}
}

func TestNoLogHoldsAKey(t *testing.T) {
	u := newUpstream(t, nil)
	file := filepath.Join(t.TempDir(), "log")
	sitelog := "log {\n\t\toutput file " + file + `
		format filter {
			request>headers>X-Api-Key delete
			request>headers>Api-Key delete
			wrap json
		}
	}
	`
	g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
	g.url = "http://" + g.address
	config := strings.Replace(g.config(demoOptions, sitelog+"log_append charged {penstock.credits.charged}\n\tlog_append model {penstock.model}\n\tpenstock_proxy "+u.address()+" {\n\t\tverbose_logs\n\t}\n\tpenstock_admin"),
		"{\n", "{\n\tdebug\n\tlog {\n\t\toutput file "+file+"\n\t}\n", 1)
	mustLoad(t, "%s", config)
	key, admin := g.key("demo.key"), g.key("admin.key")
	request := newRequest(t, "POST", g.url+"/v1/chat/completions", "", chat(true))
	request.Header.Set("X-Api-Key", key)
	request.Header.Set("X-Request-Id", "mine 1")
	if reply, err := http.DefaultClient.Do(request); err != nil || reply.StatusCode != 200 {
		t.Fatalf("%+v, %v", reply, err)
	}
	call(t, "POST", g.url+"/v1/chat/completions", key, chat(false))
	refused := call(t, "POST", g.url+"/v1/chat/completions", admin, "x")
	call(t, "POST", g.url+"/api/v1/execute/tiny", admin, `{"text":"x"}`)
	created := call(t, "POST", g.url+"/admin/v1/keys", admin, `{"name":"new","owner":"demo"}`)
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(created.body), &made); err != nil || made.Key == "" {
		t.Fatalf("creating a key: %+v, %v", created, err)
	}
	call(t, "POST", g.url+"/v1/chat/completions", made.Key, chat(false))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	member, _ := g.engine().Ledger.Authenticate(key)
	administrator, _ := g.engine().Ledger.Authenticate(admin)
	if refusals := strings.Count(string(text), `"user_id":"`+administrator.ID+`"`); refusals < 2 || strings.Count(string(text), `"penstock_refusal":"`) != 2 {
		t.Errorf("%d refusals of the admin key can be traced, want both", refusals)
	}
	for _, want := range []string{`"user_id":"` + member.ID + `"`, `"charged":"0.5`, `"model":"tiny"`, "upstream roundtrip", `"client_request_id":"mine1"`, `"request_id":"` + refused.header.Get("X-Request-Id") + `"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log has no %s", want)
		}
	}
	for name, secret := range map[string]string{"demo.key": key, "admin.key": admin, "the created key": made.Key} {
		// Also not without its public head, which is not secret.
		if strings.Contains(string(text), secret[len(secret)-30:]) {
			t.Errorf("the log holds %s", name)
		}
	}
}

func TestMetricsAreSharedByHandlersAndKeptAcrossReloads(t *testing.T) {
	u := newUpstream(t, nil)
	site := "handle /metrics {\n\t\tmetrics\n\t}\n\tpenstock_proxy /v1/* " + u.address() + "\n\tpenstock_proxy /api/* " + u.address()
	g := start(t, demoOptions, site)
	key := g.key("demo.key")
	call(t, "POST", g.url+"/v1/chat/completions", key, chat(false))
	g.reload(demoOptions, site)
	call(t, "POST", g.url+"/api/infer", key, `{"prompt":"Count."}`)
	call(t, "POST", g.url+"/api/infer", "", `{"prompt":"Count."}`)
	text := call(t, "GET", g.url+"/metrics", "", "").body
	for _, want := range []string{
		`penstock_requests_total{model="tiny",operation="chat",outcome="ok",status="200"} 1`,
		`penstock_requests_total{model="tiny",operation="infer",outcome="ok",status="200"} 1`,
		`penstock_tokens_total{direction="output",model="tiny"} 6`,
		`penstock_refusals_total{`,
		`penstock_time_to_first_byte_seconds_count{model="tiny"} 2`,
		`penstock_upstream_in_flight{upstream="` + u.address() + `"} 0`,
		`penstock_upstream_prompt_tokens{upstream="` + u.address() + `"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if member, _ := g.engine().Ledger.Authenticate(key); strings.Contains(text, member.ID) || strings.Contains(text, key) {
		t.Error("the metrics name a key")
	}
	if t.Failed() {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "penstock_") && !strings.Contains(line, "bucket") {
				t.Log(line)
			}
		}
	}
}

func TestAPathHasOneFixedCostInAllGates(t *testing.T) {
	const options = "\n\t\tbootstrap demo"
	site := func(cost string) string {
		return "route {\n\tpenstock {\n\t\tfixed_cost /rerank " + cost + "\n\t}\n\trespond ranked\n}"
	}
	g := start(t, options, site("0.25"))
	other := func(cost string) string {
		return fmt.Sprintf("%shttp://%s {\n%s\n}\n", g.config(options, site("0.25")), testkit.FreeAddress(t), site(cost))
	}
	if err := load(t, other("0.25")); err != nil {
		t.Errorf("two gates that agree: %v", err)
	}
	if err := load(t, other("0.75")); err == nil || !strings.Contains(err.Error(), "0.750000 here and 0.250000") && !strings.Contains(err.Error(), "0.250000 here and 0.750000") {
		t.Errorf("two gates that differ: %v", err)
	}
	if err := load(t, g.config(options+"\n\t\tmodel /rerank", site("1"))); err == nil || !strings.Contains(err.Error(), "a model of that name") {
		t.Errorf("a model and a path of one name: %v", err)
	}

	// A configuration that does not come up leaves the price as it was.
	next, _ := provisioned(t, g, options)
	if err := next.claimFixedCosts(map[string]ledger.Micro{"/rerank": ledger.Credit}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(next.begin(), next.Cleanup()); err != nil {
		t.Fatal(err)
	}
	if reply := call(t, "GET", g.url+"/rerank", g.key("demo.key"), ""); reply.status != 200 {
		t.Errorf("the call: %+v", reply)
	}
	if entries := g.settled(); len(entries) != 1 || entries[0].Amount.String() != "0.250000" {
		t.Errorf("the entries are %+v", entries)
	}
}

func TestTheLogSaysWhyAnUpstreamFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	nobody := testkit.FreeAddress(t)
	g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
	g.url = "http://" + g.address
	mustLoad(t, "%s", strings.Replace(g.config(demoOptions, "penstock_proxy "+nobody),
		"{\n", "{\n\tlog {\n\t\toutput file "+file+"\n\t}\n", 1))
	reply := call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false))
	if reply.status != 502 || strings.Contains(reply.body, nobody) {
		t.Errorf("the caller got %+v", reply)
	}
	var text []byte
	// The line is written when the answer may have arrived already.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && !strings.Contains(string(text), `"status":502`); {
		time.Sleep(time.Millisecond)
		text, _ = os.ReadFile(file) // not there yet
	}
	for _, want := range []string{`"status":502`, "connection refused", `"upstream":"` + nobody, `"model":"tiny"`, reply.header.Get("X-Request-Id")} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log has no %s", want)
		}
	}
}

func TestOneCallBehindTwoGatesIsChargedOnce(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions, "penstock\n\tpenstock_proxy "+u.address())
	if reply := call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false)); reply.status != 200 {
		t.Errorf("got %+v", reply)
	}
	if entries := g.settled(); len(entries) != 1 {
		t.Errorf("%d entries for one call", len(entries))
	}
}
