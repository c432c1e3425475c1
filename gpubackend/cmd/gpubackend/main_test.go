package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockhq/penstock/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

var address = regexp.MustCompile(`listening on (http://[^\s"]+)`)

// serve runs the program and returns its address.
func serve(t *testing.T, ctx context.Context, out *testkit.Buffer, arguments ...string) (string, chan error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, append([]string{"-listen", "127.0.0.1:0", "-threads", "1"}, arguments...), out)
	}()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if match := address.FindStringSubmatch(out.String()); match != nil {
			return match[1], done
		}
	}
	t.Fatalf("the program did not listen: %s", out)
	return "", nil
}

func TestProgramSaysWhichDeviceItChoseAndFinishesAnswersOnASignal(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out testkit.Buffer
	url, done := serve(t, ctx, &out)
	if text := out.String(); !strings.Contains(text, "device chosen") || !strings.Contains(text, "reason=") {
		t.Errorf("the log does not name the device and the reason: %s", text)
	}
	reply, err := http.Post(url+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"messages":[{"role":"user","content":"Hi"}],"stream":true,"max_tokens":400,"ignore_eos":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	cancel() // as a signal does
	text, err := io.ReadAll(reply.Body)
	if err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
		t.Errorf("the answer was cut: %v, ends with %q", err, text[max(0, len(text)-100):])
	}
	http.DefaultClient.CloseIdleConnections()
	if err := <-done; err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func TestBadArgumentsAreNamed(t *testing.T) {
	for want, arguments := range map[string][]string{
		`device "cuda"`:        {"-device", "cuda"},
		"slots 0":              {"-slots", "0"},
		`one is empty`:         {"-name", "a,,b"},
		"queue depth -1":       {"-queue", "-1"},
		"no-such-file.gguf":    {"-model", "no-such-file.gguf"},
		"main_test.go":         {"-model", "main_test.go"},
		"context of 999999999": {"-context", "999999999"},
		`argument "extra"`:     {"extra"},
		"listen":               {"-listen", "127.0.0.1:70000"},
	} {
		if err := run(t.Context(), arguments, &testkit.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", arguments, err, want)
		}
	}
}

// What collects JSON lines reads all of them.
func TestJSONLogsAreJSONThroughout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out testkit.Buffer
	_, done := serve(t, ctx, &out, "-log-json")
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is not JSON", line)
		}
	}
	if !strings.Contains(text, "draining") {
		t.Errorf("nothing is said at the end: %s", text)
	}
}
