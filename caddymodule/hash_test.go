package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

func TestKeysAreConfiguredByTheirHashes(t *testing.T) {
	u := newUpstream(t, nil)
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	const adminKey, memberKey = "an administrator's own words", "sk-a-member-of-old"
	t.Setenv("PENSTOCK_TEST_ADMIN_SHA256", hash(adminKey))
	options := "\n\t\tadmin_key_sha256 {env.PENSTOCK_TEST_ADMIN_SHA256}\n\t\tkey_sha256 " + hash(memberKey)
	site := "penstock_proxy " + u.address() + "\n\tpenstock_admin"
	g := start(t, options, site)
	request := newRequest(t, "POST", g.url+"/admin/v1/accounts/default/topups", adminKey, `{"amount":"10"}`)
	request.Header.Set("Idempotency-Key", "first")
	if reply, err := http.DefaultClient.Do(request); err != nil || reply.StatusCode/100 != 2 {
		t.Fatalf("top-up: %+v, %v", reply, err)
	}
	if reply := call(t, "POST", g.url+"/v1/chat/completions", memberKey, chat(false)); reply.status != 200 {
		t.Errorf("the member calls: %+v", reply)
	}
	g.reload("", site)
	if reply := call(t, "GET", g.url+"/admin/v1/keys", adminKey, ""); reply.status != 401 {
		t.Errorf("an administrator who is no longer configured: %+v", reply)
	}
	t.Setenv("PENSTOCK_TEST_ADMIN_SHA256", "")
	if err := load(t, g.config(options, site)); err == nil || !strings.Contains(err.Error(), "admin_key_sha256") {
		t.Errorf("an empty variable: %v", err)
	}
}

func TestOfSeveralMistakesTheFirstIsReportedEachTime(t *testing.T) {
	for range 50 {
		hashes := &App{AdminKeySHA256: "x", KeySHA256: "y"}
		if err := hashes.Validate(); err == nil || !strings.HasPrefix(err.Error(), "admin_key_sha256") {
			t.Fatal(err)
		}
		models := &App{Models: map[string]*Model{"b": {MaxOutputTokens: -1}, "a": {Price: &Price{Output: "x", Input: "y"}}}}
		if err := models.Validate(); err == nil || !strings.HasPrefix(err.Error(), "model a: price input") {
			t.Fatal(err)
		}
	}
}
