package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// account is what the admin API says of an account, in micro-credits.
type account struct {
	ID        string `json:"id"`
	Available int64  `json:"available_micro"`
	Held      int64  `json:"held_micro"`
	Spent     int64  `json:"spent_micro"`
}

// account returns the demo owner's account once no hold is open.
func (i *instance) account() account {
	i.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		answer := i.call("GET", "/admin/v1/accounts", i.key("admin"), "")
		var list struct{ Accounts []account }
		if err := json.Unmarshal([]byte(answer.body), &list); err != nil || answer.status != 200 {
			i.t.Fatalf("accounts: status %d, %v: %s", answer.status, err, answer.body)
		}
		for _, account := range list.Accounts {
			if account.ID == "demo" && (account.Held == 0 || time.Now().After(deadline)) {
				return account
			}
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("no account demo: %s", answer.body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestBalanceSurvivesARestart(t *testing.T) {
	i := exampleInstance(t, nil)
	i.start()
	i.call("POST", "/v1/chat/completions", i.key("demo"), chatBody)
	before := i.account()
	if before.Spent < 1 || before.Available+before.Spent != 100_000_000 {
		t.Fatalf("after one call: %+v", before)
	}
	keys := i.key("demo") + i.key("admin")
	i.stop()
	i.start()
	if after := i.account(); after != before {
		t.Fatalf("after the restart %+v, before %+v", after, before)
	}
	if i.key("demo")+i.key("admin") != keys {
		t.Fatal("the bootstrap ran twice")
	}
}

func TestSecondProcessOnTheDataDirectoryRefuses(t *testing.T) {
	first := exampleInstance(t, nil)
	first.start()
	second := exampleInstance(t, nil)
	second.data = first.data
	out, err := second.run("run", "--config", second.config, "--adapter", "caddyfile")
	if err == nil {
		t.Fatal("the second process runs on the first one's data")
	}
	if !strings.Contains(out, "penstock-data") || !strings.Contains(out, "process") {
		t.Errorf("the refusal does not name the directory and the other process:\n%s", out)
	}
	if answer := first.call("POST", "/v1/chat/completions", first.key("demo"), chatBody); answer.status != 200 {
		t.Errorf("the first process answers %d afterwards", answer.status)
	}
}

// seenCharge is a charge that a client saw at the end of its answer.
type seenCharge struct {
	request string
	micro   int64
}

func TestWhatClientsSawBeforeAKillIsChargedOnce(t *testing.T) {
	i := exampleInstance(t, nil)
	i.start()
	admin := i.key("admin")
	_, key := i.createKey(admin, `{"name":"busy","owner":"demo","limits":{"rpm":1000000,"tpm":1000000000}}`)
	var seen []seenCharge
	for round := range 3 {
		seen = append(seen, i.killUnderLoad(key, 8, time.Duration(100+60*round)*time.Millisecond)...)
		i.start()
	}
	if len(seen) == 0 {
		t.Fatal("no call was complete before a kill: the test tests nothing")
	}
	charged := i.chargesByRequest(admin)
	for _, seen := range seen {
		if entries := charged[seen.request]; len(entries) != 1 || entries[0] != seen.micro {
			t.Errorf("request %s: the client saw %d, the ledger has %v", seen.request, seen.micro, entries)
		}
	}
	var spent int64
	for _, entries := range charged {
		for _, micro := range entries {
			spent += micro
		}
	}
	if account := i.account(); account.Spent != spent || account.Available != 100_000_000-spent {
		t.Errorf("the entries sum to %d, the account says %+v", spent, account)
	}
}

// killUnderLoad lets clients call until the process is killed and returns what
// they saw.
func (i *instance) killUnderLoad(key string, clients int, after time.Duration) []seenCharge {
	var mu sync.Mutex
	var seen []seenCharge
	var done sync.WaitGroup
	stop := make(chan struct{})
	for range clients {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				answer, err := i.try("POST", "/v1/chat/completions", key, chatBody)
				if err != nil || answer.status != 200 {
					continue
				}
				mu.Lock()
				seen = append(seen, seenCharge{answer.header.Get("X-Request-Id"), micro(i.t, answer.header.Get("X-Penstock-Credits-Charged"))})
				mu.Unlock()
			}
		})
	}
	time.Sleep(after)
	i.kill()
	close(stop)
	done.Wait()
	return seen
}

// chargesByRequest reads the ledger's export.
func (i *instance) chargesByRequest(admin string) map[string][]int64 {
	i.t.Helper()
	charges := map[string][]int64{}
	lines := bufio.NewScanner(strings.NewReader(i.call("GET", "/admin/v1/entries?after=0", admin, "").body))
	for lines.Scan() {
		var entry struct {
			Kind    string
			Request string `json:"request_id"`
			Charged int64  `json:"charged_micro"`
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			i.t.Fatalf("entry %s: %v", lines.Text(), err)
		}
		if entry.Kind == "settle" {
			charges[entry.Request] = append(charges[entry.Request], entry.Charged)
		}
	}
	return charges
}

// micro reads a decimal amount of credits; it may be called by any goroutine.
func micro(t *testing.T, credits string) int64 {
	t.Helper()
	whole, fraction, found := strings.Cut(credits, ".")
	if !found || len(fraction) != 6 {
		t.Errorf("credits %q, want six decimals", credits)
		return 0
	}
	value, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		t.Errorf("credits %q: %v", credits, err)
	}
	return value
}

func TestReloadKeepsStreamChargeAndCounters(t *testing.T) {
	started, reloaded := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(slowStream(started, reloaded))
	defer upstream.Close()
	i := exampleInstance(t, func(config string) string {
		port := regexp.MustCompile(`penstock_proxy localhost:(\d+)`).FindStringSubmatch(config)[1]
		return strings.ReplaceAll(config, "localhost:"+port, upstream.Listener.Addr().String())
	})
	i.start()
	admin := i.key("admin")
	_, key := i.createKey(admin, `{"name":"two","owner":"demo","limits":{"rpm":2,"tpm":100000}}`)
	done := make(chan reply, 1)
	go func() {
		answer, _ := i.try("POST", "/v1/chat/completions", key, strings.Replace(chatBody, "{", `{"stream":true,`, 1))
		done <- answer
	}()
	<-started
	if out, err := i.run("reload", "--force", "--config", i.config, "--adapter", "caddyfile", "--address", i.admin); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	close(reloaded)
	if answer := <-done; answer.status != 200 || !strings.HasSuffix(answer.body, "data: [DONE]\n\n") {
		t.Fatalf("the stream was cut: status %d: %s", answer.status, answer.body)
	}
	http.DefaultClient.CloseIdleConnections() // Caddy closes its end of them at a reload
	for n, want := range []int{200, 429} {
		if answer := i.call("POST", "/v1/chat/completions", key, chatBody); answer.status != want {
			t.Fatalf("call %d after the stream: status %d, want %d", n+1, answer.status, want)
		}
	}
	if n := strings.Count(i.call("GET", "/admin/v1/entries?after=0", admin, "").body, `"kind":"settle"`); n != 2 {
		t.Fatalf("%d settlements, want 2", n)
	}
}

// slowStream is an upstream whose streams last until finish is closed.
func slowStream(started, finish chan struct{}) http.HandlerFunc {
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !bytes.Contains(body, []byte(`"stream":true`)) {
			io.WriteString(w, `{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		chunk := "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
		io.WriteString(w, chunk)
		http.NewResponseController(w).Flush()
		once.Do(func() { close(started) })
		<-finish
		io.WriteString(w, chunk+"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")
	}
}

func TestListModulesShowsTheModules(t *testing.T) {
	out, err := exec.Command(binary, "list-modules").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{
		"penstock", "http.handlers.penstock", "http.handlers.penstock_admin", "http.handlers.penstock_backend",
		"http.reverse_proxy.selection_policies.penstock",
	} {
		if !strings.Contains(string(out), module+"\n") {
			t.Errorf("list-modules does not show %s", module)
		}
	}
}
