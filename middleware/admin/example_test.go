package admin_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin"
)

// The administration is an http.Handler over a ledger and a limiter. A hash in
// the program's configuration lets its administrator make the first keys.
func ExampleNew() {
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

	handler := admin.New(accounts, counters,
		admin.WithAdminKeySHA256(sha256.Sum256([]byte("the administrator's key"))),
		admin.WithDefaultLimits(limits.Row{RPM: 60, TPM: 30_000}))

	request := httptest.NewRequest(http.MethodPost, "/admin/v1/keys", strings.NewReader(`{"name": "team-a", "budget": "12.5"}`))
	request.Header.Set("Authorization", "Bearer the administrator's key")
	reply := httptest.NewRecorder()
	handler.ServeHTTP(reply, request)
	fmt.Println(reply.Code, strings.Contains(reply.Body.String(), `"budget":"12.500000"`))
	// Output: 201 true
}
