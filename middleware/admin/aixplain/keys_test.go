package aixplain_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin"
)

// sdkStep is one request as the SDK puts it on the wire, and the reply that it
// needs. In both, ID, KEY and MASK stand for the id, the text and the mask of
// the last key that was made.
type sdkStep struct {
	what    string
	request string // method, escaped path, body
	status  int
	reply   string
}

var requestIDs = regexp.MustCompile(`"requestId":"req_[0-9a-f]{24}"`)

// play makes the requests in turn with the header that a half of the SDK uses.
func (s *server) play(steps []sdkStep, header ...string) {
	s.T.Helper()
	id, key := "", ""
	for _, step := range steps {
		request := strings.ReplaceAll(step.request, "ID", id)
		method, rest, _ := strings.Cut(request, " ")
		path, body, _ := strings.Cut(rest, " ")
		got := s.Call(method, path, "", body, append(header, "Content-Type", "application/json")...)
		if method == "POST" && got.Status == 201 {
			id, key = got.Text("id"), got.Text("accessKey")
		}
		text := strings.TrimSpace(requestIDs.ReplaceAllString(got.Body, `"requestId":"R"`))
		if key != "" {
			text = strings.ReplaceAll(strings.ReplaceAll(text, key, "KEY"), key[:4]+"..."+key[len(key)-4:], "MASK")
			text = strings.ReplaceAll(text, id, "ID")
		}
		if got.Status != step.status || text != step.reply {
			s.T.Errorf("%s: %s\n got %d %s\nwant %d %s", step.what, step.request, got.Status, text, step.status, step.reply)
		}
	}
}

func aixplainServer(t *testing.T) *server {
	s := newServer(t, admin.WithDefaultLimits(limits.Row{RPM: 60, TPM: 30000}),
		admin.WithModels(admin.Model{ID: "669a63646eb56306647e1091", Name: "Tiny", Path: "acme/tiny/acme"}))
	// The SDK works in the workspace of its admin key, here an empty one.
	s.Admin = s.Mint(ledger.NewKey{Name: "sdk admin", Owner: "team", Role: ledger.RoleAdmin})
	return s
}

// The requests below are those that aiXplain's Python SDK sends from its v2
// classes, byte for byte, with the header x-api-key.
func TestTheSecondGenerationSDKManagesAKey(t *testing.T) {
	s := aixplainServer(t)
	s.play([]sdkStep{
		{
			"a path is resolved before a key is made", `GET /v2/models/acme%2Ftiny%2Facme `, 200,
			`{"id":"669a63646eb56306647e1091","name":"Tiny","description":"","status":"onboarded","supplier":{"id":"penstock","name":"Penstock"},"function":{"id":"text-generation","name":"Text Generation"},"version":{"id":"1"},"pricing":{"price":1,"currency":"credits per minute"},"params":[],"attributes":{},"supportsStreaming":true,"connectionType":["synchronous"],"assetInfo":{"instanceId":"acme/tiny/acme"}}`,
		},
		{
			"create", `POST /sdk/api-keys {"name":"team-a","budget":1000,"expiresAt":"2030-01-01T00:00:00.000000Z","globalLimits":{"tpm":0,"tpd":0,"rpm":2,"rpd":0,"tokenType":null},"assetsLimits":[{"tpm":10,"tpd":30,"rpm":2,"rpd":2,"tokenType":"output","assetId":"669a63646eb56306647e1091"}]}`, 201,
			`{"id":"ID","name":"team-a","accessKey":"KEY","isAdmin":false,"budget":1000,"expiresAt":"2030-01-01T00:00:00.000Z","globalLimits":{"tpm":0,"tpd":0,"rpm":2,"rpd":0,"tokenType":"total"},"assetsLimits":[{"assetId":"669a63646eb56306647e1091","tpm":10,"tpd":30,"rpm":2,"rpd":2,"tokenType":"output"}]}`,
		},
		{
			"a name that is taken", `POST /sdk/api-keys {"name":"team-a","budget":null,"assetsLimits":[]}`, 422,
			`{"statusCode":422,"message":"a key with this name exists","error":"a key with this name exists","requestId":"R"}`,
		},
		{
			"get", `GET /sdk/api-keys/ID `, 200,
			`{"id":"ID","name":"team-a","accessKey":"MASK","isAdmin":false,"budget":1000,"expiresAt":"2030-01-01T00:00:00.000Z","globalLimits":{"tpm":0,"tpd":0,"rpm":2,"rpd":0,"tokenType":"total"},"assetsLimits":[{"assetId":"669a63646eb56306647e1091","tpm":10,"tpd":30,"rpm":2,"rpd":2,"tokenType":"output"}]}`,
		},
		{
			"a save echoes what the server said", `PUT /sdk/api-keys/ID {"id":"ID","name":"team-a","budget":12.5,"expiresAt":"2030-01-01T00:00:00.000Z","globalLimits":{"tpm":100,"tpd":1000,"rpm":100,"rpd":1000,"tokenType":"total"},"assetsLimits":[]}`, 200,
			`{"id":"ID","name":"team-a","accessKey":"MASK","isAdmin":false,"budget":12.5,"expiresAt":"2030-01-01T00:00:00.000Z","globalLimits":{"tpm":100,"tpd":1000,"rpm":100,"rpd":1000,"tokenType":"total"},"assetsLimits":[]}`,
		},
		{
			"what a save leaves out is cleared", `PUT /sdk/api-keys/ID {"id":"ID","name":"team-b","budget":null,"assetsLimits":[]}`, 200,
			`{"id":"ID","name":"team-b","accessKey":"MASK","isAdmin":false,"budget":null,"expiresAt":null,"globalLimits":{"tpm":30000,"tpd":0,"rpm":60,"rpd":0,"tokenType":"total"},"assetsLimits":[]}`,
		},
		{
			"usage of a key", `GET /sdk/api-keys/ID/usage-limits `, 200,
			`[{"requestCount":0,"requestCountLimit":null,"tokenCount":0,"tokenCountLimit":null}]`,
		},
		{"an admin has no usage of its own", `GET /sdk/api-keys/usage-limits `, 200, `[]`},
		{
			"unknown id", `GET /sdk/api-keys/66f0c1 `, 404,
			`{"statusCode":404,"message":"no key \"66f0c1\"","error":"no key \"66f0c1\"","requestId":"R"}`,
		},
		{
			"unknown model", `GET /v2/models/acme%2Fhuge%2Facme `, 404,
			`{"statusCode":404,"message":"no model \"acme/huge/acme\"","error":"no model \"acme/huge/acme\"","requestId":"R"}`,
		},
		{
			"bad input", `POST /sdk/api-keys {"name":"x","globalLimits":{"tpm":-1}}`, 400,
			`{"statusCode":400,"message":"globalLimits.tpm: \"-1\" is not a whole number from 0 to 9007199254740991","error":"globalLimits.tpm: \"-1\" is not a whole number from 0 to 9007199254740991","requestId":"R"}`,
		},
		{
			"delete", `DELETE /sdk/api-keys/ID `, 200,
			`{"id":"ID","name":"team-b","accessKey":"MASK","isAdmin":false,"budget":null,"expiresAt":null,"globalLimits":{"tpm":30000,"tpd":0,"rpm":60,"rpd":0,"tokenType":"total"},"assetsLimits":[]}`,
		},
		{"a deleted key is gone", `GET /sdk/api-keys/ID `, 404, `{"statusCode":404,"message":"no key \"ID\"","error":"no key \"ID\"","requestId":"R"}`},
		{"and cannot be deleted again", `DELETE /sdk/api-keys/ID `, 404, `{"statusCode":404,"message":"no key \"ID\"","error":"no key \"ID\"","requestId":"R"}`},
		{
			"its name is free again", `POST /sdk/api-keys {"name":"team-b","budget":null,"assetsLimits":[]}`, 201,
			`{"id":"ID","name":"team-b","accessKey":"KEY","isAdmin":false,"budget":null,"expiresAt":null,"globalLimits":{"tpm":30000,"tpd":0,"rpm":60,"rpd":0,"tokenType":"total"},"assetsLimits":[]}`,
		},
	}, "X-Api-Key", s.Admin)
}

// The first generation authenticates with Token, joins its base URL with a double
// slash, and sends null and empty texts where the second sends nothing.
func TestTheFirstGenerationSDKManagesAKey(t *testing.T) {
	s := aixplainServer(t)
	s.play([]sdkStep{
		{
			"create", `POST //sdk/api-keys {"id":"","name":"team-a","budget":0.1,"expiresAt":null,"assetsLimits":[{"assetId":"acme/tiny/acme","tpm":0,"tpd":0,"rpm":1,"rpd":0,"tokenType":null}],"globalLimits":{"tpm":0,"tpd":0,"rpm":0,"rpd":0,"tokenType":null},"unknown":true}`, 201,
			`{"id":"ID","name":"team-a","accessKey":"KEY","isAdmin":false,"budget":0.1,"expiresAt":null,"globalLimits":null,"assetsLimits":[{"assetId":"669a63646eb56306647e1091","tpm":0,"tpd":0,"rpm":1,"rpd":0,"tokenType":"total"}]}`,
		},
		{
			"update", `PUT /sdk/api-keys/ID {"id":"ID","name":"team-a","budget":1e-05,"expiresAt":"2024-10-07T00:00:00Z","assetsLimits":[]}`, 400,
			`{"statusCode":400,"message":"expiresAt: 2024-10-07T00:00:00Z is in the past","error":"expiresAt: 2024-10-07T00:00:00Z is in the past","requestId":"R"}`,
		},
		{
			"model", `GET //sdk/models/669a63646eb56306647e1091 `, 200,
			`{"id":"669a63646eb56306647e1091","name":"Tiny","description":"","status":"onboarded","supplier":{"id":"penstock","name":"Penstock"},"function":{"id":"text-generation","name":"Text Generation"},"version":{"id":"1"},"pricing":{"price":1,"currency":"credits per minute"},"params":[],"attributes":{},"supportsStreaming":true,"connectionType":["synchronous"],"assetInfo":{"instanceId":"acme/tiny/acme"}}`,
		},
		{
			"delete", `DELETE /sdk/api-keys/ID `, 200,
			`{"id":"ID","name":"team-a","accessKey":"MASK","isAdmin":false,"budget":0.1,"expiresAt":null,"globalLimits":null,"assetsLimits":[{"assetId":"669a63646eb56306647e1091","tpm":0,"tpd":0,"rpm":1,"rpd":0,"tokenType":"total"}]}`,
		},
	}, "Authorization", "Token "+s.Admin)
}

func TestTheSDKsListIsABareArrayOfMaskedKeys(t *testing.T) {
	s := aixplainServer(t)
	for i := range 3 {
		s.Call("POST", "/sdk/api-keys", s.Admin, fmt.Sprintf(`{"name":"k%d","budget":null,"assetsLimits":[]}`, i)).Want(201)
	}
	got := s.Call("GET", "/sdk/api-keys", s.Admin, `{}`).Want(200)
	text := regexp.MustCompile(`"id":"\w+"|"accessKey":"pk_[am]\.\.\.\w{4}"`).ReplaceAllString(strings.ReplaceAll(got.Body, "\n", ""), "M")
	const shared = `"budget":null,"expiresAt":null,"globalLimits":{"tpm":30000,"tpd":0,"rpm":60,"rpd":0,"tokenType":"total"},"assetsLimits":[]}`
	if want := `[{M,"name":"sdk admin",M,"isAdmin":true,"budget":null,"expiresAt":null,"globalLimits":null,"assetsLimits":[]},` +
		`{M,"name":"k0",M,"isAdmin":false,` + shared + `,{M,"name":"k1",M,"isAdmin":false,` + shared + `,{M,"name":"k2",M,"isAdmin":false,` + shared + `]`; text != want {
		t.Errorf("the list is\n%s, want\n%s", text, want)
	}
	// An admin without an owner's keys gets an empty array, not null.
	if got := s.Call("GET", "/sdk/api-keys", s.mintRoot(), "").Want(200); strings.TrimSpace(got.Body) != "[]" {
		t.Errorf("an empty list is %q", got.Body)
	}
}

// mintRoot returns an admin key of an owner whose keys are all deleted.
func (s *server) mintRoot() string {
	s.T.Helper()
	const text = "the configured admin key"
	s.Serve(admin.New(s.Ledger, s.Limiter, admin.WithClock(s.Clock), admin.WithAdminKeySHA256(sha256.Sum256([]byte(text)))))
	keys, _, err := s.Ledger.ListKeys(ledger.KeyQuery{Owner: "default"})
	if err != nil {
		s.T.Fatal(err)
	}
	for _, key := range keys {
		if _, err := s.Ledger.RevokeKey(context.Background(), key.ID); err != nil {
			s.T.Fatal(err)
		}
	}
	return text
}

func TestASaveBySDKActsInTheNextWindowAndKeepsWhatTheSDKDoesNotKnow(t *testing.T) {
	s := newServer(t)
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a","limits":{"rpm":5,"max_in_flight":3},"models":["tiny"],"metadata":{"k":"v"}}`).Want(201)
	s.Call("PUT", "/sdk/api-keys/"+made.Text("id"), s.Admin, `{"name":"a","globalLimits":{"rpm":9,"rpd":0,"tpm":0,"tpd":0}}`).Want(200)
	got := s.Call("GET", "/admin/v1/keys/"+made.Text("id"), s.Admin, "").Want(200)
	if row := got.Object("limits"); row["rpm"] != 9.0 || row["max_in_flight"] != 3.0 || len(got.List("models")) != 1 || got.Object("metadata")["k"] != "v" {
		t.Error(got.Body)
	}
	if previous := got.Object("pending")["previous_limits"].(map[string]any); previous["rpm"] != 5.0 {
		t.Errorf("until the next window the limits are %v", previous)
	}
}

func TestNoLimitIsTheHighestAllowedOneWhereTheConfigurationDemandsOne(t *testing.T) {
	s := newServer(t, admin.WithBounds(limits.Bounds{limits.RPM: {Min: 10, Max: 600}}))
	got := s.Call("POST", "/sdk/api-keys", s.Admin, `{"name":"a","globalLimits":{"rpm":0,"rpd":0,"tpm":0,"tpd":0}}`).Want(201)
	if got.Object("globalLimits")["rpm"] != 600.0 {
		t.Error(got.Body)
	}
	s.Call("POST", "/sdk/api-keys", s.Admin, `{"name":"b","globalLimits":{"rpm":601}}`).Want(400)
}

func TestACreateThatIsSentAgainSaysSo(t *testing.T) {
	s := aixplainServer(t)
	create := func() (string, string, bool) {
		got := s.Call("POST", "/sdk/api-keys", s.Admin, `{"name":"a"}`, "Idempotency-Key", "k").Want(201)
		return got.Text("id"), got.Text("accessKey"), strings.Contains(got.Body, `"replayed":true`)
	}
	id, text, replayed := create()
	if replayed {
		t.Error("the first request is said to be replayed")
	}
	again, masked, replayed := create()
	if !replayed || again != id || masked == text {
		t.Errorf("sent again: replayed %v, key %s, want %s and no text", replayed, again, id)
	}
	if got := s.Call("GET", "/sdk/api-keys/"+id, s.Admin, "").Want(200); strings.Contains(got.Body, "replayed") {
		t.Errorf("a key that is read says %s", got.Body)
	}
}

func TestAWorkspaceEndsAtItsOwner(t *testing.T) {
	s := aixplainServer(t)
	theirs := s.Call("POST", "/admin/v1/keys", s.Mint(ledger.NewKey{Name: "x", Owner: "other", Role: ledger.RoleAdmin}), `{"name":"theirs"}`).Want(201).Text("id")
	for _, c := range [][3]string{
		{"GET", "/sdk/api-keys/" + theirs, ""},
		{"PUT", "/sdk/api-keys/" + theirs, `{"name":"mine"}`},
		{"DELETE", "/sdk/api-keys/" + theirs, ""},
		{"GET", "/sdk/api-keys/" + theirs + "/usage-limits", ""},
	} {
		s.Call(c[0], c[1], s.Admin, c[2]).Want(404)
	}
	if got := s.Call("GET", "/sdk/api-keys", s.Admin, "").Want(200); strings.Contains(got.Body, theirs) {
		t.Errorf("the list shows another workspace: %s", got.Body)
	}
	s.Call("POST", "/sdk/api-keys", s.Admin, `{"name":"theirs","budget":null,"assetsLimits":[]}`).Want(201)
}

// Two sites, or a configuration and the one that replaces it, have a handler each.
func TestHandlersOfOneLedgerGiveEachNameOnce(t *testing.T) {
	s := newServer(t)
	sites := []http.Handler{admin.New(s.Ledger, s.Limiter), admin.New(s.Ledger, s.Limiter)}
	statuses := make([]int, len(sites))
	var calls sync.WaitGroup
	for i, site := range sites {
		calls.Go(func() { statuses[i] = serve(site, "POST", "/sdk/api-keys", s.Admin, `{"name":"twin"}`) })
	}
	calls.Wait()
	if statuses[0]+statuses[1] != 201+422 {
		t.Errorf("the statuses are %v, want one 201 and one 422", statuses)
	}
	keys, _, err := s.Ledger.ListKeys(ledger.KeyQuery{Name: "twin"})
	if err != nil || len(keys) != 1 {
		t.Errorf("%d keys have the name, %v", len(keys), err)
	}
}

// serve asks a handler without a listener and returns the status.
func serve(handler http.Handler, method, path, key, body string) int {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+key)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code
}
