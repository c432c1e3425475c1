package forward_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestTrustedProxiesAreBelievedAsByReverseProxy(t *testing.T) {
	for _, trusted := range []string{`["127.0.0.0/8"]`, `["127.0.0.1"]`, `["10.0.0.0/8"]`, `[]`} {
		more := `,"trusted_proxies":` + trusted
		var addresses [2]string
		var upstreams [2]*rawUpstream
		proxies := make([]string, 2)
		for i, make := range []func(string, ...string) string{forwarding, proxying} {
			upstreams[i] = newRawUpstream(t)
			upstreams[i].begin(script{replies: []string{reply}})
			proxies[i] = make(more, upstreams[i].listener.Addr().String())
		}
		copy(addresses[:], serve(t, "", proxies...))
		for _, said := range []string{
			"", "X-Forwarded-For: 1.2.3.4\r\n", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n", "X-Forwarded-For:\r\n",
			"X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n", "X-Forwarded-Proto: a\r\nX-Forwarded-Proto:\r\nX-Forwarded-Host: b\r\nX-Forwarded-Host: c\r\n",
		} {
			s := &twins{addresses: addresses, upstreams: upstreams}
			s.compare(t, fmt.Sprintf("GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", said), 1, script{replies: []string{reply}})
		}
	}
}

func TestAHandlerBeforeMayKeepHeadersBack(t *testing.T) {
	u := newRawUpstream(t)
	u.begin(script{replies: []string{reply}})
	address := serve(t, `{"handler":"test_withhold"},`, forwarding("", u.listener.Addr().String()))[0]
	client := new(rawClient)
	defer client.close()
	client.exchange(t, address, get)
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if len(u.saw) != 1 || strings.Contains(u.saw[0], "X-Forwarded") {
		t.Errorf("the upstream saw %q", u.saw)
	}
}
