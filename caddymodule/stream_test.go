package caddymodule

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

// stream is a streamed reply that is read line by line.
type stream struct {
	t     *testing.T
	reply *http.Response
	lines *bufio.Reader
}

// open starts a streamed chat call and returns when its header is here.
func (g *gateway) open(ctx context.Context, key string, headers ...string) *stream {
	g.t.Helper()
	request := newRequest(g.t, "POST", g.url+"/v1/chat/completions", key, chat(true)).WithContext(ctx)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { reply.Body.Close() })
	return &stream{t: g.t, reply: reply, lines: bufio.NewReader(reply.Body)}
}

// expect reads up to the line that contains text. A test that waits forever
// fails by its own time limit.
func (s *stream) expect(text string) {
	s.t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if strings.Contains(line, text) {
			return
		}
		if err != nil {
			s.t.Fatalf("no %q before %v", text, err)
		}
	}
}

// rest reads the stream to its end.
func (s *stream) rest() (string, error) {
	text, err := io.ReadAll(s.lines)
	return string(text), err
}

func TestChunksPassWhenTheyCome(t *testing.T) {
	for name, site := range map[string]string{
		"plain":          "penstock_proxy %s",
		"under encode":   "encode gzip\n\tpenstock_proxy %s",
		"behind a route": "penstock\n\troute {\n\t\treverse_proxy %s\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			permits := make(chan struct{})
			u := newUpstream(t, permits)
			g := start(t, demoOptions, strings.ReplaceAll(site, "%s", u.address()))
			// Each chunk is produced only after the one before has been read here: a
			// chunk that is held back anywhere stops the test.
			go func() { permits <- struct{}{} }()
			s := g.open(t.Context(), g.key("demo.key"), "Accept-Encoding", "identity")
			s.expect("one")
			permits <- struct{}{}
			s.expect("two")
			permits <- struct{}{}
			s.expect("three")
			if rest, err := s.rest(); err != nil || !strings.HasSuffix(rest, "data: [DONE]\n\n") {
				t.Errorf("the stream ends with %q, %v", rest, err)
			}
		})
	}
}

func TestCompressedChunksPassWhenTheyCome(t *testing.T) {
	permits := make(chan struct{})
	u := newUpstream(t, permits)
	g := start(t, demoOptions, "encode gzip {\n\t\tminimum_length 1\n\t}\n\tpenstock_proxy "+u.address())
	go func() { permits <- struct{}{} }()
	s := g.open(t.Context(), g.key("demo.key")) // the client unpacks
	if !s.reply.Uncompressed {
		t.Fatal("the reply was not compressed: the test shows nothing")
	}
	s.expect("one")
	permits <- struct{}{}
	s.expect("two")
	permits <- struct{}{}
	s.expect("three")
	if _, err := s.rest(); err != nil {
		t.Error(err)
	}
}

func TestClientThatLeavesCancelsTheUpstreamAndPaysForWhatCame(t *testing.T) {
	permits := make(chan struct{})
	u := newUpstream(t, permits)
	g := start(t, demoOptions, "penstock_proxy "+u.address())
	go func() { permits <- struct{}{} }()
	ctx, leave := context.WithCancel(t.Context())
	s := g.open(ctx, g.key("demo.key"))
	s.expect("one")
	leave()
	var entries []ledger.Entry
	testkit.Eventually(t, "the call is settled", func() bool {
		entries = g.settled()
		return len(entries) > 0
	})
	if len(entries) != 1 || entries[0].Outcome != ledger.OutcomeClientGone || entries[0].Quantity.OutputTokens != 1 {
		t.Errorf("got %+v", entries)
	}
}

// The access log reads what a request's context holds while its run goes on: the
// race detector sees it if they share it.
func TestABackgroundRunSharesNothingWithTheAccessLog(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions, "log {\n\toutput discard\n}\npenstock_proxy "+u.address())
	key := g.key("demo.key")
	for range 40 {
		if reply := call(t, "POST", g.url+"/api/v1/execute/tiny", key, `{"data":"hi"}`); reply.status != 200 {
			t.Fatalf("%+v", reply)
		}
	}
}
