package admin

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/admintest"
)

func TestACreationWithAnIdempotencyKeyHappensOnce(t *testing.T) {
	s := newServer(t)
	const body = `{"name":"a","owner":"acme","expires_at":"2026-11-20T12:00:00Z"}`
	made := s.Call("POST", "/admin/v1/keys", s.Admin, body, "Idempotency-Key", "k").Want(201)
	if made.Text("key") == "" || made.Fields()["replayed"] != false {
		t.Fatal(made.Body)
	}
	s.Advance(3 * 60 * 60 * 1e9) // the expiry is past: it is not judged again
	// Spaces and the order of members mean nothing.
	for _, same := range []string{body, `{ "owner" : "acme", "expires_at":"2026-11-20T12:00:00Z","name":"a" }`} {
		again := s.Call("POST", "/admin/v1/keys", s.Admin, same, "Idempotency-Key", "k").Want(200)
		if again.Text("id") != made.Text("id") || again.Fields()["key"] != nil || again.Fields()["replayed"] != true {
			t.Error(again.Body)
		}
	}
	if got := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"b"}`, "Idempotency-Key", "k").Want(422); got.ErrorCode() != "idempotency_key_reused" || got.Param() != "Idempotency-Key" {
		t.Error(got.Body)
	}
	if got := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"b"}`, "Idempotency-Key", strings.Repeat("k", 256)).Want(400); got.Param() != "Idempotency-Key" {
		t.Error(got.Body)
	}
	// A caller and a route have idempotency keys of their own.
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	other := s.Call("POST", "/admin/v1/keys", acme, `{"name":"b"}`, "Idempotency-Key", "k").Want(201)
	if other.Text("id") == made.Text("id") {
		t.Error("another caller got the first one's key")
	}
	s.Call("POST", "/admin/v1/keys/"+other.Text("id")+"/rotate", s.Admin, "", "Idempotency-Key", "k").Want(200)
	for range 2 {
		got := s.Call("POST", "/admin/v1/accounts", s.Admin, `{"id":"new","name":"New"}`, "Idempotency-Key", "k").Want(201)
		if got.Text("name") != "New" {
			t.Error(got.Body)
		}
	}
	// Without the header every request is a new one.
	first := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"c"}`).Want(201).Text("id")
	if s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"c"}`).Want(201).Text("id") == first {
		t.Error("two requests without the header made one key")
	}
}

func TestARotationWithAnIdempotencyKeyHappensOnce(t *testing.T) {
	s := newServer(t)
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201)
	path := "/admin/v1/keys/" + made.Text("id") + "/rotate"
	first := s.Call("POST", path, s.Admin, "", "Idempotency-Key", "r").Want(200)
	for _, body := range []string{"", "{}"} {
		again := s.Call("POST", path, s.Admin, body, "Idempotency-Key", "r").Want(200)
		if again.Fields()["key"] != nil || again.Fields()["replayed"] != true || again.Number("version") != first.Number("version") {
			t.Error(again.Body)
		}
	}
	s.Call("POST", path, s.Admin, `{"overlap_seconds":1}`, "Idempotency-Key", "r").Want(422)
	s.Call("GET", "/admin/v1/me", first.Text("key"), "").Want(200)
}

func TestTheSameCreationManyTimesAtOnceMakesOneKey(t *testing.T) {
	s := newServer(t)
	for path, body := range map[string]string{"/admin/v1/keys": `{"name":"a","owner":"x"}`, "/sdk/api-keys": `{"name":"sdk"}`} {
		replies := make([]admintest.Reply, 6)
		var all sync.WaitGroup
		for i := range replies {
			all.Go(func() { replies[i] = s.Call("POST", path, s.Admin, body, "Idempotency-Key", "at once") })
		}
		all.Wait()
		ids, texts := map[string]bool{}, 0
		for _, reply := range replies {
			if reply.Status/100 != 2 {
				t.Fatalf("%s: %d %s", path, reply.Status, reply.Body)
			}
			ids[fmt.Sprint(reply.Fields()["id"])] = true
			if strings.Contains(reply.Body, "pk_m_") {
				texts++
			}
		}
		if len(ids) != 1 || texts != 1 {
			t.Errorf("%s: %d keys, %d texts", path, len(ids), texts)
		}
	}
}
