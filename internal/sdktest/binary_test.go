package sdktest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// TestOfficialClientsInFrontOfTheBinary runs them against the built Caddy.
func TestOfficialClientsInFrontOfTheBinary(t *testing.T) {
	folder := install(t)
	server := httptest.NewServer(http.HandlerFunc(upstream))
	defer server.Close()
	data := t.TempDir()
	store, err := sqlitestore.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	made := keys(t, book)
	if err := book.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, runClients(t, folder, startCaddy(t, data, server.Listener.Addr().String()), made))
}

// startCaddy builds and runs the binary and returns the gateway's address.
func startCaddy(t *testing.T, data, upstream string) string {
	t.Helper()
	address := testkit.FreeAddress(t)
	var config strings.Builder
	fmt.Fprintf(&config, "{\n\tadmin off\n\tpersist_config off\n\tpenstock {\n\t\tledger sqlite %q\n", data)
	for _, name := range models {
		price := ""
		if name == "slow" {
			price = fmt.Sprintf(" {\n\t\t\tprice output %d\n\t\t}", slowPrice)
		}
		fmt.Fprintf(&config, "\t\tmodel %s%s\n", name, price)
	}
	fmt.Fprintf(&config, "\t}\n}\nhttp://%s {\n\tpenstock_proxy %s {\n\t\tgate {\n\t\t\tmax_body 1MiB\n\t\t}\n\t}\n}\n", address, upstream)
	testkit.RunCaddy(t, config.String(), "http://"+address+"/v1/models")
	return "http://" + address
}
