package forward

import (
	"net/http"
	"strings"
)

// isPlain says that the handler can forward a request as reverse_proxy would. The body is in
// memory if it can be had again: what the server reads from a client cannot.
func isPlain(r *http.Request) bool {
	if r.ContentLength < 0 || len(r.Trailer) > 0 || r.Method == http.MethodConnect || r.TLS != nil && !r.TLS.HandshakeComplete {
		return false
	}
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil || r.ContentLength > 0 && r.GetBody == nil {
		return false
	}
	return isToken(r.Method) && isHost(r.Host) && isTarget(r) && isPlainHeader(r.Header)
}

// isTarget says that the target of a request is a path.
func isTarget(r *http.Request) bool {
	u := r.URL
	if u.Opaque != "" || !strings.HasPrefix(u.Path, "/") {
		return false
	}
	for i := range len(u.RawQuery) {
		if b := u.RawQuery[i]; b <= ' ' || b == 0x7f {
			return false
		}
	}
	return true // the path is escaped when it is written
}

// isPlainHeader says that a header asks for nothing special, and that it can be written as it is.
func isPlainHeader(header http.Header) bool {
	for name, values := range header {
		if !isCanonical(name) {
			return false
		}
		switch name {
		case "Upgrade", "Te", "Trailer", "Expect", "Transfer-Encoding":
			return false
		case "Connection":
			for _, value := range values {
				if !strings.EqualFold(value, "keep-alive") && !strings.EqualFold(value, "close") {
					return false
				}
			}
		}
		for _, value := range values {
			if !isValue(value) {
				return false
			}
		}
	}
	return true
}

// isCanonical says that a header's name is a token in the spelling of net/http.
func isCanonical(name string) bool {
	first := true
	for i := range len(name) {
		b := name[i]
		if !tokens[b] || first && 'a' <= b && b <= 'z' || !first && 'A' <= b && b <= 'Z' {
			return false
		}
		first = b == '-'
	}
	return name != ""
}

// isValue says that a header's value has no control characters.
func isValue(value string) bool {
	for i := range len(value) {
		if b := value[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// isToken says that a text may be a method.
func isToken(text string) bool {
	for i := range len(text) {
		if !tokens[text[i]] {
			return false
		}
	}
	return text != ""
}

// isHost says that a text is a usual host, with or without a port.
func isHost(text string) bool {
	for i := range len(text) {
		if b := text[i]; !hosts[b] {
			return false
		}
	}
	return text != ""
}

// tokens are the characters of names, hosts those of hosts without a zone.
var (
	tokens = characters("!#$%&'*+-.^_`|~")
	hosts  = characters("-._:[]")
)

// characters returns the set of letters, digits and some more.
func characters(more string) (set [256]bool) {
	for b := range len(set) {
		switch {
		case '0' <= b && b <= '9', 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
			set[b] = true
		}
	}
	for i := range len(more) {
		set[more[i]] = true
	}
	return set
}
