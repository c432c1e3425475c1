package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// An exchange is a file of four parts, each after a line "== NAME":
//
//	request   method, path and headers as released clients send them, and the body
//	upstream  path and body that the upstream must see; absent if it must see nothing
//	answer    status, content type and body that the upstream gives
//	reply     status, content type and body that the client must get
//	tokens    input and output tokens in the ledger, and the source; absent if nothing is charged
type exchange map[string]string

func readExchange(t *testing.T, file string) exchange {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := exchange{}
	for _, part := range strings.Split("\n"+string(text), "\n== ")[1:] {
		name, content, _ := strings.Cut(part, "\n")
		parts[name] = strings.TrimSuffix(content, "\n")
	}
	return parts
}

// head cuts the first line off.
func head(text string) (first, rest string) {
	first, rest, _ = strings.Cut(text, "\n")
	return first, rest
}

// changing is what differs from run to run.
var changing = regexp.MustCompile(`req_[0-9a-f]{24}|"runTime":[0-9.e-]+|"usedCredits":[0-9.e-]+|http://127\.0\.0\.1:\d+|[0-9a-f]{32}`)

func steady(text string) string {
	return changing.ReplaceAllStringFunc(text, func(found string) string {
		switch {
		case strings.HasPrefix(found, "req_"):
			return "REQUEST"
		case strings.HasPrefix(found, `"runTime"`):
			return `"runTime":0`
		case strings.HasPrefix(found, `"usedCredits"`):
			return `"usedCredits":0`
		case strings.HasPrefix(found, "http"):
			return "http://GATEWAY"
		}
		return "RUN"
	})
}

func TestRecordedExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/exchanges/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d exchanges: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			play(t, readExchange(t, file))
		})
	}
}

func play(t *testing.T, parts exchange) {
	var seen string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = r.URL.RequestURI() + "\n" + string(body)
		for name := range r.Header {
			if name == "Authorization" || strings.HasSuffix(name, "Api-Key") {
				t.Errorf("the upstream sees %s", name)
			}
		}
		line, text := head(parts["answer"])
		status, kind, _ := strings.Cut(line, " ")
		w.Header().Set("Content-Type", kind)
		code, err := strconv.Atoi(status)
		if err != nil {
			t.Errorf("the exchange has no answer for %s", seen)
			code = http.StatusInternalServerError
		}
		w.WriteHeader(code)
		io.WriteString(w, text)
	}, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "tiny", MaxOutputTokens: 600}, middleware.Model{Name: "acme/tiny/acme"}))
	if parts["models"] != "" {
		_, h.text = h.newKey(ledger.NewKey{Owner: h.key.Owner, Models: strings.Fields(parts["models"])}, 0)
	} else {
		_, h.text = h.newKey(ledger.NewKey{Owner: h.key.Owner, Models: []string{"tiny", "acme/tiny/acme"}}, 0)
	}
	line, rest := head(parts["request"])
	method, path, _ := strings.Cut(line, " ")
	headers, body, _ := strings.Cut(rest, "\n\n")
	var header []string
	for _, line := range strings.Split(headers, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			continue
		}
		header = append(header, name, strings.ReplaceAll(value, "KEY", h.text))
	}
	got := h.do(method, path, body, header...)
	reply := strconv.Itoa(got.status) + " " + got.header.Get("Content-Type") + "\n" + strings.TrimSuffix(steady(got.body), "\n")
	if want := parts["reply"]; reply != want {
		t.Errorf("the client got\n%s\nwant\n%s", reply, want)
	}
	if seen != parts["upstream"] {
		t.Errorf("the upstream saw\n%s\nwant\n%s", seen, parts["upstream"])
	}
	tokens := ""
	for _, entry := range h.entries() {
		if entry.Kind == ledger.KindSettle {
			tokens += tokensOf(entry)
		}
	}
	if tokens != parts["tokens"] {
		t.Errorf("the ledger says %q, want %q", tokens, parts["tokens"])
	}
}

func tokensOf(entry ledger.Entry) string {
	return fmt.Sprintf("%d %d %s", entry.Quantity.InputTokens, entry.Quantity.OutputTokens, entry.Usage)
}
