package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// A key goes on nowhere, neither the one that opened the gate nor one in a place where
// the gate does not look for it.
func TestNoKeyGoesOnToAnUpstream(t *testing.T) {
	var seen string
	h := build(t, chat, ledger.NewKey{})
	_, other := h.newKey(ledger.NewKey{Owner: "other"}, 0)
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		seen = fmt.Sprint(r.URL, r.RequestURI, r.Header)
		chat(w, r)
	}, middleware.WithAllowUnmetered("/free"), middleware.WithFixedCost("/priced", 5))
	escaped := strings.ReplaceAll(other, "_", "%5F")
	for _, path := range []string{"/v1/chat/completions", "/free", "/priced", "/api/infer"} {
		for _, query := range []string{"api_key=KEY", "api%5Fkey=KEY", "API-KEY=KEY&a=1", "a=1&apikey=KEY&b=2", "key=KEY", "x=y&KEY", "a=1;key=KEY"} {
			for _, key := range []string{other, escaped} {
				h.post(path+"?"+strings.Replace(query, "KEY", key, 1), plainBody)
				if strings.Contains(seen, other[20:]) || seen == "" {
					t.Errorf("%s?%s: the upstream sees %s", path, query, seen)
				}
				seen = ""
			}
		}
		for _, header := range []string{"X-Api-Key", "Api-Key", "X_api_key", "X-Goog-Api-Key", "Apikey", "X-Custom", "Cookie", "Referer"} {
			h.post(path, plainBody, header, "session="+other)
			if strings.Contains(seen, other[20:]) || seen == "" {
				t.Errorf("%s with %s: the upstream sees %s", path, header, seen)
			}
			seen = ""
		}
		h.post(path, plainBody, "X_api_key", "a key of another form", "X-Goog-Api-Key", "a key of another form")
		if strings.Contains(seen, "another form") {
			t.Errorf("%s: the upstream sees %s", path, seen)
		}
	}
}

func TestTheRestOfAQueryGoesOnAsItIs(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	seen := ""
	h.wrap(func(_ http.ResponseWriter, r *http.Request) { seen = r.URL.RawQuery }, middleware.WithAllowUnmetered("/free"))
	for query, want := range map[string]string{
		"": "", "b=2&a=1&b=3": "b=2&a=1&b=3", "key=of+the+map&keys=1": "key=of+the+map&keys=1", "&&a": "&&a", "%zz=1": "%zz=1",
		"z=%20&api_key=secret&a=%2f": "z=%20&a=%2f", "api_key=secret": "",
	} {
		if h.post("/free?"+query, ""); seen != want {
			t.Errorf("%q becomes %q", query, seen)
		}
	}
}

func TestARequestIsShownWithoutKeys(t *testing.T) {
	key := "pk_m_" + strings.Repeat("0", 48)
	r := httptest.NewRequest("GET", "/v1/models?api_key=secret&a=1&b="+key, nil)
	r.Header = http.Header{
		"X-Api-Key": {"secret"}, "X_api_key": {"secret"}, "X-Goog-Api-Key": {"secret"}, "Authorization": {"secret"}, "X-Other": {"Bearer " + key}, "Kept": {"1"},
	}
	before := r.Header.Clone()
	shown := middleware.WithoutKeys(r)
	if shown.RequestURI != "/v1/models?a=1" || len(shown.Header) != 1 || shown.Header.Get("Kept") != "1" {
		t.Errorf("%s %v", shown.RequestURI, shown.Header)
	}
	if len(r.Header) != len(before) || r.RequestURI == shown.RequestURI || r.URL.Query().Get("api_key") != "secret" {
		t.Error("the request itself was changed")
	}
	if _, err := url.ParseRequestURI(shown.RequestURI); err != nil {
		t.Error(err)
	}
}
