package middleware

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/penstockhq/penstock/ledger"
)

// keyNames are the names, without separators and in small letters, of headers and
// parameters of queries in which clients send keys. The gate reads a key in some of
// these headers only; in none of these places does it belong to an upstream or a log.
var keyNames = [...]string{"authorization", "proxyauthorization", "apikey", "xapikey", "xgoogapikey", "accesstoken"}

// carriesKey says that a header or parameter of this name may hold a key.
func carriesKey(name string) bool {
	for _, known := range keyNames {
		if sameName(name, known) {
			return true
		}
	}
	return false
}

// sameName compares a name with a plain one: servers read X_api_key as X-Api-Key.
func sameName(name, plain string) bool {
	matched := 0
	for i := range len(name) {
		char := name[i]
		if char == '-' || char == '_' {
			continue
		}
		if 'A' <= char && char <= 'Z' {
			char += 'a' - 'A'
		}
		if matched == len(plain) || char != plain[matched] {
			return false
		}
		matched++
	}
	return matched == len(plain)
}

// holdKey says that one of a header's values has the form of a key.
func holdKey(values []string) bool {
	for _, value := range values {
		if ledger.HoldsKey(value) {
			return true
		}
	}
	return false
}

// queryWithoutKeys removes from a raw query the parameters that may hold a key. The
// others keep their order and their form.
func queryWithoutKeys(raw string) string {
	var kept strings.Builder
	dropped := false
	for parameter := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if carriesKey(name) || ledger.HoldsKey(parameter) {
			dropped = true
			continue
		}
		if kept.Len() > 0 {
			kept.WriteByte('&')
		}
		kept.WriteString(parameter)
	}
	if !dropped {
		return raw
	}
	return kept.String()
}

// dropQueryKeys gives a request an address without keys in its query.
func dropQueryKeys(r *http.Request) {
	if r.URL.RawQuery == "" {
		return
	}
	query := queryWithoutKeys(r.URL.RawQuery)
	if query == r.URL.RawQuery {
		return
	}
	target := *r.URL
	target.RawQuery = query
	r.URL, r.RequestURI = &target, target.RequestURI()
}

// WithoutKeys returns a copy of a request for logs: without the headers and parameters
// of the query in which clients send keys, and without those that hold something in the
// form of a key. Other places, such as the path, are left as they are; ledger.MaskKeys
// finds keys there.
func WithoutKeys(r *http.Request) *http.Request {
	shown := *r
	shown.Header = make(http.Header, len(r.Header))
	for name, values := range r.Header {
		if !carriesKey(name) && !holdKey(values) {
			shown.Header[name] = values
		}
	}
	if address, query, found := strings.Cut(r.RequestURI, "?"); found {
		if query = queryWithoutKeys(query); query != "" {
			address += "?" + query
		}
		shown.RequestURI = address
	}
	return &shown
}
