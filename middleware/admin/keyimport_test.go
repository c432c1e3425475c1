package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestAKeyIsImportedByItsHash(t *testing.T) {
	s := newServer(t)
	const text = "sk-from-another-gateway-0123456789"
	sum := sha256.Sum256([]byte(text))
	body := fmt.Sprintf(`{"name":"old","owner":"acme","sha256":%q,"hint":"sk-f6789","limits":{"rpm":5}}`, hex.EncodeToString(sum[:]))
	made := s.Call("POST", "/admin/v1/keys/import", s.Admin, body, "Idempotency-Key", "i").Want(201)
	if made.Text("hint") != "sk-f6789" || made.Text("owner") != "acme" || made.Object("limits")["rpm"] != 5.0 {
		t.Error(made.Body)
	}
	if got := s.Call("GET", "/admin/v1/me", text, "").Want(200); got.Text("id") != made.Text("id") {
		t.Error(got.Body)
	}
	if again := s.Call("POST", "/admin/v1/keys/import", s.Admin, body, "Idempotency-Key", "i").Want(200); again.Text("id") != made.Text("id") {
		t.Error(again.Body)
	}
	if got := s.Call("POST", "/admin/v1/keys/import", s.Admin, body).Want(409); got.ErrorCode() != "exists" || got.Param() != "sha256" {
		t.Error(got.Body)
	}
	for _, wrong := range []string{`{"name":"a"}`, `{"name":"a","sha256":"12"}`, fmt.Sprintf(`{"name":"a","sha256":"%064s"}`, "x")} {
		if got := s.Call("POST", "/admin/v1/keys/import", s.Admin, wrong).Want(400); got.Param() != "sha256" {
			t.Errorf("%s: %s", wrong, got.Body)
		}
	}
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	other := fmt.Sprintf(`{"name":"a","owner":"other","sha256":"%064d"}`, 1)
	s.Call("POST", "/admin/v1/keys/import", acme, other).Want(403)
	s.Call("POST", "/admin/v1/keys/import", s.Member, other).Want(403)
}
