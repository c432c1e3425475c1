package caddymodule

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
)

// refusal is what a client saw of a call that is refused.
type refusal struct {
	first  time.Duration // to the first byte of the answer, 0 if none came
	sent   int           // bytes of the body that the connection took
	broken error         // of sending the body
	status int           // 0 if no answer could be read
}

// refusedBody is the length of the body of a refused call, in bytes.
const refusedBody = 5_000_000

// refuse makes a call with a wrong key. It sends the first `body` bytes of the body before
// it reads the answer, as clients do that know no early answer.
func refuse(t *testing.T, address, head string, body int) refusal {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	began, seen := time.Now(), refusal{}
	fmt.Fprintf(connection, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer wrong\r\n%s\r\n", address, head)
	for piece := bytes.Repeat([]byte("x"), 50_000); seen.sent < body && seen.broken == nil; {
		var n int
		n, seen.broken = connection.Write(piece)
		seen.sent += n
	}
	in := bufio.NewReader(connection)
	if _, err := in.Peek(1); err != nil {
		return seen
	}
	seen.first = time.Since(began)
	if answer, err := http.ReadResponse(in, nil); err == nil {
		if _, err := io.Copy(io.Discard, answer.Body); err == nil {
			seen.status = answer.StatusCode
		}
		answer.Body.Close()
	}
	return seen
}

// Beside a bare `respond 401`, for which net/http reads up to 256 KiB of the body before the
// answer leaves, and then closes the connection while the client sends. A run of 2026-12-01
// on two cores of an AMD EPYC: the gate answered each call within 8 ms and took all 5 MB; the
// bare 401 did not come within 3 s where the body was not sent, and where it was, it came
// after 503 ms and the client had a broken pipe after 4.0 MB.
func TestARefusalArrivesWhereABare401MayNot(t *testing.T) {
	u := newUpstream(t, nil)
	bare := testkit.FreeAddress(t)
	gated := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
	mustLoad(t, "%shttp://%s {\n\trespond 401\n}\n", gated.config(demoOptions, "penstock_proxy "+u.address()), bare)

	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "call\tserver\tfirst byte\tstatus\tbytes taken\tsending")
	length := fmt.Sprintf("Content-Length: %d\r\n", refusedBody)
	for _, test := range []struct {
		name, head string
		body       int
	}{
		{"no body", "Content-Length: 0\r\n", 0},
		{"5 MB, not sent yet", length, 0},
		{"5 MB, Expect: 100-continue", length + "Expect: 100-continue\r\n", 0},
		{"5 MB, sent before the answer is read", length, refusedBody},
	} {
		for _, server := range []struct{ name, address string }{{"gate", gated.address}, {"respond 401", bare}} {
			seen := refuse(t, server.address, test.head, test.body)
			sending := "complete"
			if seen.broken != nil {
				sending = seen.broken.Error()[strings.LastIndex(seen.broken.Error(), ": ")+2:]
			}
			first := "none in 3s"
			if seen.first > 0 {
				first = seen.first.Round(10 * time.Microsecond).String()
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", test.name, server.name, first, seen.status, seen.sent, sending)
			if server.name != "gate" {
				continue
			}
			if seen.status != http.StatusUnauthorized || seen.broken != nil {
				t.Errorf("%s: status %d, sending the body: %v", test.name, seen.status, seen.broken)
			}
			if test.body == 0 && seen.first > time.Second {
				t.Errorf("%s: the answer took %v", test.name, seen.first)
			}
		}
	}
	table.Flush()
	t.Log("\n" + text.String())
}
