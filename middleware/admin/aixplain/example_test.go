package aixplain_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin"
)

// The SDK makes a key in the workspace of the key that it runs with.
func Example() {
	directory, err := os.MkdirTemp("", "penstock")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	store, err := sqlitestore.Open(context.Background(), directory)
	if err != nil {
		log.Fatal(err)
	}
	accounts, err := ledger.Open(context.Background(), store)
	if err != nil {
		log.Fatal(err)
	}
	defer accounts.Close(context.Background())
	counters := limiter.New()
	defer counters.Close()
	handler := admin.New(accounts, counters, admin.WithAdminKeySHA256(sha256.Sum256([]byte("the administrator's key"))))

	request := httptest.NewRequest(http.MethodPost, "/sdk/api-keys", strings.NewReader(
		`{"name":"team-a","budget":12.5,"globalLimits":{"tpm":0,"tpd":0,"rpm":60,"rpd":0},"assetsLimits":[]}`))
	request.Header.Set("X-Api-Key", "the administrator's key")
	reply := httptest.NewRecorder()
	handler.ServeHTTP(reply, request)
	secrets := regexp.MustCompile(`"(id|accessKey)":"\w+",`)
	fmt.Println(reply.Code, secrets.ReplaceAllString(strings.TrimSpace(reply.Body.String()), ""))
	// Output:
	// 201 {"name":"team-a","isAdmin":false,"budget":12.5,"expiresAt":null,"globalLimits":{"tpm":0,"tpd":0,"rpm":60,"rpd":0,"tokenType":"total"},"assetsLimits":[]}
}
