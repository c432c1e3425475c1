package requestid

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestIDsHaveOneForm(t *testing.T) {
	form := regexp.MustCompile(`^req_[0-9a-f]{24}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := New()
		if !form.MatchString(id) || seen[id] {
			t.Fatal(id)
		}
		seen[id] = true
	}
}

func TestAClientsIDIsBoundedAndCleaned(t *testing.T) {
	for _, test := range []struct {
		header http.Header
		want   string
	}{
		{http.Header{}, ""},
		{http.Header{"X-Request-Id": {"8f6e-1", "second"}}, "8f6e-1"},
		{http.Header{"Request-Id": {"|a.b_c."}}, "|a.b_c."},
		{http.Header{"X-Client-Request-Id": {"c"}, "Request-Id": {"b"}}, "b"},
		{http.Header{"X-Request-Id": {"a\nb \"c\"\x1b[31m\u00e9"}}, "abc31m"},
		{http.Header{"X-Request-Id": {strings.Repeat("x", 1<<16)}}, strings.Repeat("x", maxClient)},
		{http.Header{"X-Request-Id": {"pk_m_" + strings.Repeat("a", 48)}}, ""},
	} {
		if got := Client(test.header); got != test.want {
			t.Errorf("%.60q: %q, want %q", test.header, got, test.want)
		}
	}
}
