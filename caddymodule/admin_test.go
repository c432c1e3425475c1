package caddymodule

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestAdministrationCreatesToppedUpKeysThatCallAndEndsThem(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions+"\n\t\tdefault_limits rpm 30\n\t\tbounds rpm 10 600", "penstock_proxy "+u.address()+"\n\tpenstock_admin")
	admin := g.key("admin.key")
	created := call(t, "POST", g.url+"/admin/v1/keys", admin, `{"name":"alice","owner":"acme"}`)
	var key struct {
		ID, Key string
		Limits  struct{ RPM int }
	}
	if err := json.Unmarshal([]byte(created.body), &key); err != nil || created.status != 201 || key.Limits.RPM != 30 {
		t.Fatalf("creating: %+v, %v", created, err)
	}
	chatURL := g.url + "/v1/chat/completions"
	if reply := call(t, "POST", chatURL, key.Key, chat(false)); reply.status != 402 {
		t.Errorf("before the top-up: %+v", reply)
	}
	request := newRequest(t, "POST", g.url+"/admin/v1/accounts/acme/topups", admin, `{"amount":"10"}`)
	request.Header.Set("Idempotency-Key", "first")
	if reply, err := http.DefaultClient.Do(request); err != nil || reply.StatusCode/100 != 2 {
		t.Fatalf("top-up: %+v, %v", reply, err)
	}
	if reply := call(t, "POST", chatURL, key.Key, chat(false)); reply.status != 200 {
		t.Errorf("after the top-up: %+v", reply)
	}
	if reply := call(t, "POST", g.url+"/admin/v1/keys", admin, `{"name":"bob","limits":{"rpm":5}}`); reply.status != 400 && reply.status != 422 {
		t.Errorf("a limit outside its bounds: %+v", reply)
	}
	if reply := call(t, "GET", g.url+"/admin/v1/keys", key.Key, ""); reply.status != 403 {
		t.Errorf("a member lists keys: %+v", reply)
	}
	if reply := call(t, "GET", g.url+"/sdk/api-keys", admin, ""); reply.status != 200 {
		t.Errorf("aiXplain's list: %+v", reply)
	}
	if reply := call(t, "DELETE", g.url+"/admin/v1/keys/"+key.ID, admin, ""); reply.status/100 != 2 {
		t.Errorf("revoking: %+v", reply)
	}
	if reply := call(t, "POST", chatURL, key.Key, chat(false)); reply.status != 401 {
		t.Errorf("after the revocation: %+v", reply)
	}
}

func TestAReloadGivesNoNewTriesToGuessAKey(t *testing.T) {
	g := start(t, demoOptions, "penstock_admin")
	guess := func() int { return call(t, "GET", g.url+"/admin/v1/keys", "wrong", "").status }
	tries := 0
	for ; guess() == 401; tries++ {
		if tries == 1000 {
			t.Fatal("failures are not throttled")
		}
	}
	g.reload(demoOptions+"\n\t\tbounds rpm 1 600", "penstock_admin")
	reply := call(t, "GET", g.url+"/admin/v1/keys", "wrong", "")
	if reply.status != 429 || !strings.Contains(reply.body, "too_many_failures") {
		t.Errorf("after %d tries and a reload: %d %s", tries, reply.status, reply.body)
	}
	if reply := call(t, "GET", g.url+"/admin/v1/keys", g.key("admin.key"), ""); reply.status != 200 {
		t.Errorf("the right key from that address: %d %s", reply.status, reply.body)
	}
}
