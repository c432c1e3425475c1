package forward_test

import (
	"strings"
	"testing"
)

const (
	get   = "GET /v1/models?a=b%20c HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
	post  = "POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: test\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"model\":\"a\"}\n"
	reply = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)

// requests are what clients send.
var requests = map[string]string{
	"get":               get,
	"post":              post,
	"head":              "HEAD /v1/models HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
	"post of nothing":   "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	"delete":            "DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n",
	"get with a body":   "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
	"chunked":           "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"chunked, trailers": "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
	"http 1.0":          "GET /a HTTP/1.0\r\nHost: a\r\n\r\n",
	"http 1.0, kept":    "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
	"close":             "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"options":           "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"absolute":          "GET http://b.example/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
	"empty query":       "GET /a? HTTP/1.1\r\nHost: a\r\n\r\n",
	"two slashes":       "GET //a//b/../c HTTP/1.1\r\nHost: a\r\n\r\n",
	"escapes":           "GET /a%2Fb%20c%C3%A4/%7e?q=%zz;x HTTP/1.1\r\nHost: a\r\n\r\n",
	"raw bytes":         "GET /\xc3\xa4?\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
	"port":              "GET /a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
	"odd host":          "GET /a HTTP/1.1\r\nHost: a%41b\r\n\r\n",
	"hops":              "GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Drop\r\nX-Drop: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nProxy-Connection: y\r\nTE: trailers, deflate\r\nAlt-Svc: z\r\nX-Keep: 2\r\n\r\n",
	"some hops":         "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nProxy-Connection: y\r\nAlt-Svc: z\r\n\r\n",
	"forwarded":         "GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=1\r\nVia: 1.0 before\r\n\r\n",
	"repeated":          "GET /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a:  2 \r\nX-A:\r\nCookie: a=b\r\nCookie: c=d\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip\r\n\r\n",
	"upgrade":           "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
	"upgrade unnamed":   "GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
	"continue":          "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
	"two lengths":       "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
	"same lengths":      "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"length, chunked":   "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
	"odd encoding":      "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"space in a name":   "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
	"folded":            "GET /a HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c: d\r\n\r\n",
	"no host":           "GET /a HTTP/1.1\r\n\r\n",
	"bare line feeds":   "GET /a HTTP/1.1\nHost: a\nX-A: b\n\n",
	"incremental":       "POST /a HTTP/1.1\r\nHost: a\r\nIncremental: ?1\r\nContent-Length: 3\r\n\r\nabc",
	"an agent of none":  "GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent:\r\n\r\n",
	"two agents":        "GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: a\r\nUser-Agent: b\r\n\r\n",
	"connect":           "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
	"idempotent":        "POST /a HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nContent-Length: 2\r\n\r\nab",
	"large header":      "GET /a HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 100_000) + "\r\n\r\n",
	"large body":        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("abc", 100_000),
}

// replies are what upstreams answer, each of them whole as far as the upstream is concerned.
var replies = map[string]script{
	"whole":                {replies: []string{reply}},
	"in pieces":            {replies: []string{reply}, pieces: 7},
	"closed":               {replies: []string{reply}, closes: true},
	"says close":           {replies: []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"}, closes: true},
	"until the close":      {replies: []string{"HTTP/1.1 200 OK\r\n\r\nabc"}, closes: true},
	"chunked":              {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"}},
	"chunked in pieces":    {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"}, pieces: 20},
	"trailers":             {replies: []string{"HTTP/1.1 200 OK\r\nTrailer: X-A, X-B\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"}},
	"unannounced trailers": {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n"}},
	"more trailers":        {replies: []string{"HTTP/1.1 200 OK\r\nTrailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"}},
	"events":               {replies: []string{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n"}, pieces: 3},
	"no content":           {replies: []string{"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"}},
	"not modified":         {replies: []string{"HTTP/1.1 304 Not Modified\r\nEtag: a\r\nContent-Length: 5\r\n\r\n"}},
	"nothing":              {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}},
	"early hints":          {replies: []string{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-D\r\nX-D: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + reply}},
	"continue":             {replies: []string{"HTTP/1.1 100 Continue\r\n\r\n" + reply}},
	"hops":                 {replies: []string{"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-D\r\nX-D: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: a\r\nUpgrade: b\r\nAlt-Svc: c\r\nServer: d\r\nVia: 1.1 e\r\nContent-Length: 0\r\n\r\n"}},
	"repeated":             {replies: []string{"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nx-lower: A\r\nContent-Length: 0\r\n\r\n"}},
	"http 1.0":             {replies: []string{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"}, closes: true},
	"http 1.0, kept":       {replies: []string{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}"}},
	"odd reason":           {replies: []string{"HTTP/1.1 299 It Is\tFine\r\nContent-Length: 0\r\n\r\n"}},
	"no reason":            {replies: []string{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"}},
	"status 999":           {replies: []string{"HTTP/1.1 999 Much\r\nContent-Length: 0\r\n\r\n"}},
	"an error":             {replies: []string{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\nno"}},
	"date":                 {replies: []string{"HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: 0\r\n\r\n"}},
	"incremental":          {replies: []string{"HTTP/1.1 200 OK\r\nIncremental: ?1\r\nContent-Length: 2\r\n\r\nab"}},
	"large":                {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("abc", 100_000)}},
	"large chunks":         {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + strings.Repeat("abc", 100_000) + "\r\n0\r\n\r\n"}},
}

// broken are replies that make no sense, are cut, or say two things.
var broken = map[string]script{
	"silent":               {replies: []string{""}, closes: true},
	"no http":              {replies: []string{"what?\r\n\r\n"}, closes: true},
	"version":              {replies: []string{"HTTP/1.x 200 OK\r\n\r\n"}, closes: true},
	"http 2":               {replies: []string{"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"}, closes: true},
	"no number":            {replies: []string{"HTTP/1.1 abc OK\r\n\r\n"}, closes: true},
	"short number":         {replies: []string{"HTTP/1.1 20 OK\r\n\r\n"}, closes: true},
	"cut line":             {replies: []string{"HTTP/1.1 200"}, closes: true},
	"cut header":           {replies: []string{"HTTP/1.1 200 OK\r\nContent-Le"}, closes: true},
	"cut body":             {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"}, closes: true},
	"cut chunk":            {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}, closes: true},
	"no last chunk":        {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"}, closes: true},
	"bad chunk":            {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab\r\n0\r\n\r\n"}, closes: true},
	"long chunk":           {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n"}, closes: true},
	"two lengths":          {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"}, closes: true},
	"same lengths":         {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"}},
	"length of minus one":  {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"}, closes: true},
	"length with a plus":   {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc"}, closes: true},
	"length and chunked":   {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"}},
	"chunked in 1.0":       {replies: []string{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"}, closes: true},
	"odd encoding":         {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"}, closes: true},
	"bad header":           {replies: []string{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"}, closes: true},
	"folded":               {replies: []string{"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"}},
	"more than announced":  {replies: []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 0\r\n\r\n"}},
	"a body without a due": {replies: []string{"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"}},
	"huge header":          {replies: []string{"HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 11<<20) + "\r\n\r\n"}, closes: true},
	"only interim":         {replies: []string{"HTTP/1.1 103 Early Hints\r\n\r\n"}, closes: true},
	"bad trailer":          {replies: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n"}, closes: true},
}

func TestTheUpstreamAndTheClientSeeWhatReverseProxyShowsThem(t *testing.T) {
	s := startTwins(t)
	for name, request := range requests {
		t.Run(name, func(t *testing.T) { s.compare(t, request, 3, script{replies: []string{reply}}) })
	}
}

func TestRepliesPassAsThroughReverseProxy(t *testing.T) {
	s := startTwins(t)
	for name, act := range replies {
		t.Run(name, func(t *testing.T) {
			for _, request := range []string{get, post, requests["head"], requests["http 1.0"]} {
				act := act
				if strings.HasPrefix(request, "HEAD") {
					act.replies = []string{withoutBody(act.replies[0])}
				}
				s.compare(t, request, 3, act)
			}
		})
	}
}

// withoutBody returns what an upstream answers to HEAD.
func withoutBody(reply string) string {
	interim := strings.LastIndex(reply, "HTTP/1.")
	end := strings.Index(reply[interim:], "\r\n\r\n")
	return reply[:interim+end+4]
}

func TestBrokenRepliesEndAsThroughReverseProxy(t *testing.T) {
	s := startTwins(t)
	for name, act := range broken {
		t.Run(name, func(t *testing.T) {
			for _, request := range []string{get, post} {
				s.compare(t, request, 2, act)
			}
		})
	}
}
