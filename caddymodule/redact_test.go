package caddymodule

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
)

// Callers put keys where they please, and most of these calls are refused. None of the
// logs that Caddy writes of them may hold one.
func TestALogWithoutKeysHoldsNone(t *testing.T) {
	u := newUpstream(t, nil)
	for _, format := range []string{"", " {\n\t\t\twrap console\n\t\t}"} {
		file := filepath.Join(t.TempDir(), "log")
		output := "output file " + file + "\n\t\tformat penstock_redact"
		g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
		g.url = "http://" + g.address
		site := "log {\n\t\t" + output + format + "\n\t}\n\tlog_append note {http.request.header.X-Note}\n\tpenstock_proxy " + u.address() + " {\n\t\tverbose_logs\n\t\tgate {\n\t\t\tallow_unmetered /free*\n\t\t}\n\t}\n\tpenstock_admin"
		config := strings.Replace(g.config(demoOptions, site), "{\n", "{\n\tdebug\n\tlog {\n\t\t"+output+format+"\n\t}\n", 1)
		mustLoad(t, "%s", config)
		key := g.key("demo.key")
		secrets := []string{key, "foreign-secret-4711", key[:len(key)-9], strings.ReplaceAll(key, "_", "%5F")}
		for _, secret := range secrets {
			for _, header := range []string{"X-Api-Key", "Api-Key", "X_api_key", "X-Goog-Api-Key", "Authorization", "X-Note", "Cookie", "User-Agent"} {
				if secret == secrets[1] && (header == "X-Note" || header == "Cookie" || header == "User-Agent") {
					continue // nothing tells that it is a key
				}
				request := newRequest(t, "POST", g.url+"/v1/chat/completions", "", chat(false))
				request.Header.Set(header, secret)
				reply, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				reply.Body.Close()
			}
			for _, path := range []string{"/v1/models?api_key=", "/v1/models?x=1&API-Key=", "/free?access_token=", "/other?a=b&apikey="} {
				call(t, "GET", g.url+path+secret, key, "")
			}
			if secret != secrets[1] {
				call(t, "GET", g.url+"/v1/models/"+secret+"/x?key="+secret, secret, "")
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(string(text), secret[len(secret)-16:]) {
				t.Errorf("the log with the format%q holds the secret of %d letters", format, len(secret))
			}
		}
		for _, want := range []string{"upstream roundtrip", "/v1/models?x=1", "[secret]", "handled request"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("the log has no %s", want)
			}
		}
		stop(t)
	}
}
