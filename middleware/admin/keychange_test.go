package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestAPatchChangesWhatItNamesAndNothingElse(t *testing.T) {
	s := newServer(t, WithDefaultLimits(ledger.Limits{RPM: 60, TPM: 30000}))
	made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a","budget":1,"metadata":{"k":"v"},"scopes":["rag"],"cidrs":["10.0.0.0/8"],
		"expires_at":"2030-01-01T00:00:00Z","models":["tiny"],"model_limits":[{"model":"tiny","rpm":1}]}`).want(201)
	path := "/admin/v1/keys/" + made.text("id")
	got := s.call("PATCH", path, s.admin, `{"version":1,"limits":{"rpm":10}}`).want(200)
	if got.number("version") != 2 || got.header.Get("ETag") != `"2"` {
		t.Errorf("version %v, tag %s", got.number("version"), got.header.Get("ETag"))
	}
	for _, name := range []string{"name", "budget", "metadata", "scopes", "cidrs", "expires_at", "models", "model_limits"} {
		if before, after := fmt.Sprint(made.fields()[name]), fmt.Sprint(got.fields()[name]); before != after {
			t.Errorf("%s went from %s to %s", name, before, after)
		}
	}
	if limits := got.object("limits"); limits["rpm"] != 10.0 || limits["tpm"] != 30000.0 || got.fields()["pending"] != nil {
		t.Errorf("limits are %s", got.body)
	}

	got = s.call("PATCH", path, s.admin, `{"name":"b","budget":null,"expires_at":null,"models":[],"scopes":null,"cidrs":[],"metadata":{},"model_limits":[]}`,
		"If-Match", `"2"`).want(200)
	if text := fmt.Sprint(got.fields()["name"], got.fields()["budget"], got.fields()["expires_at"], got.list("models"), got.list("scopes"),
		got.list("cidrs"), got.object("metadata"), got.list("model_limits")); text != "b<nil> <nil> [] [] [] map[] []" {
		t.Errorf("after clearing: %s", text)
	}

	got = s.call("PATCH", path, s.admin, `{"version":3,"limits":{"rpm":5},"effective":"next_window"}`).want(200)
	pending := got.object("pending")
	if got.object("limits")["rpm"] != 5.0 || pending["previous_limits"].(map[string]any)["rpm"] != 10.0 || pending["changed_at"] != "2026-11-20T10:00:00.000Z" {
		t.Errorf("a change for the next window shows %s", got.body)
	}
}

func TestAPatchNamesTheFieldThatIsWrong(t *testing.T) {
	s := newServer(t, WithBounds(Bounds{RPM: Range{0, 600}}))
	path := "/admin/v1/keys/" + s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a","limits":{"rpm":1}}`).want(201).text("id")
	for body, param := range map[string]string{
		`{}`: "version", `{"version":0}`: "version", `{"version":"1"}`: "version", `{"version":1,"name":null}`: "name",
		`{"version":1,"name":""}`: "name", `{"version":1,"role":"admin"}`: "role", `{"version":1,"owner":"x"}`: "owner",
		`{"version":1,"limits":{"rpm":601}}`: "limits.rpm", `{"version":1,"limits":{"rpm":-1}}`: "limits.rpm",
		`{"version":1,"effective":"later"}`: "effective", `{"version":1,"expires_at":"2020-01-01T00:00:00Z"}`: "expires_at",
		`{"version":1,"budget":"x"}`: "budget", `{"version":1,"cidrs":["x"]}`: "cidrs", `{"version":1,"scopes":["x"]}`: "scopes",
		`{"version":1,"key":"x"}`: "key",
	} {
		got := s.call("PATCH", path, s.admin, body).want(400)
		if got.object("error")["param"] != param {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	if got := s.call("GET", path, s.admin, "").want(200); got.number("version") != 1 {
		t.Errorf("refused changes made version %v", got.number("version"))
	}
	s.call("DELETE", path, s.admin, "").want(200)
	if got := s.call("PATCH", path, s.admin, `{"version":2,"name":"b"}`).want(409); got.errorCode() != "key_revoked" {
		t.Error(got.body)
	}
}

func TestOfTwoAdminsWhoPatchAtOnceOneIsToldTheCurrentVersion(t *testing.T) {
	s := newServer(t)
	path := "/admin/v1/keys/" + s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a"}`).want(201).text("id")
	for round := range 25 {
		version := round + 1
		replies := make([]reply, 2)
		var both sync.WaitGroup
		for i := range replies {
			both.Go(func() {
				replies[i] = s.call("PATCH", path, s.admin, fmt.Sprintf(`{"version":%d,"name":"admin-%d-%d"}`, version, i, round))
			})
		}
		both.Wait()
		won, lost := replies[0], replies[1]
		if won.status != 200 {
			won, lost = lost, won
		}
		if won.status != 200 || lost.status != 409 || lost.errorCode() != "version_conflict" || lost.number("current_version") != float64(version+1) {
			t.Fatalf("round %d: %d %s and %d %s", round, won.status, won.body, lost.status, lost.body)
		}
		if now := s.call("GET", path, s.admin, "").want(200); now.text("name") != won.text("name") {
			t.Fatalf("round %d: the key is named %s, the winner said %s", round, now.text("name"), won.text("name"))
		}
	}
}

func TestARotatedKeyOverlapsWithItsOldText(t *testing.T) {
	s := newServer(t)
	made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a","budget":5}`).want(201)
	path, old := "/admin/v1/keys/"+made.text("id"), made.text("key")
	got := s.call("POST", path+"/rotate", s.admin, `{"overlap_seconds":3600}`).want(200)
	if got.text("id") != made.text("id") || got.text("key") == old || got.text("budget") != "5.000000" || got.text("previous_valid_until") != "2026-11-20T11:00:00.000Z" {
		t.Fatal(got.body)
	}
	for _, text := range []string{old, got.text("key")} {
		s.call("GET", "/admin/v1/me", text, "").want(200)
	}
	s.advance(time.Hour)
	s.call("GET", "/admin/v1/me", old, "").want(401)
	s.call("GET", "/admin/v1/me", got.text("key"), "").want(200)

	again := s.call("POST", path+"/rotate", s.admin, "").want(200)
	if again.text("previous_valid_until") != "2026-11-21T11:00:00.000Z" {
		t.Errorf("without a body the overlap ends %s", again.text("previous_valid_until"))
	}
	none := s.call("POST", path+"/rotate", s.admin, `{"overlap_seconds":0}`).want(200)
	s.call("GET", "/admin/v1/me", again.text("key"), "").want(401)
	s.call("GET", "/admin/v1/me", none.text("key"), "").want(200)
	for _, body := range []string{`{"overlap_seconds":604801}`, `{"overlap_seconds":-1}`, `{"overlap_seconds":"1h"}`} {
		if got := s.call("POST", path+"/rotate", s.admin, body).want(400); got.object("error")["param"] != "overlap_seconds" {
			t.Error(got.body)
		}
	}
}

func TestAKeyIsFoundByItsText(t *testing.T) {
	s := newServer(t)
	acme := s.mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a"}`).want(201)
	body := fmt.Sprintf(`{"key":%q}`, made.text("key"))
	if got := s.call("POST", "/admin/v1/keys/lookup", s.admin, body).want(200); got.text("id") != made.text("id") || got.text("key") != "" {
		t.Error(got.body)
	}
	s.call("POST", "/admin/v1/keys/lookup", acme, body).want(404)
	s.call("POST", "/admin/v1/keys/lookup", s.member, body).want(403)
	s.call("DELETE", "/admin/v1/keys/"+made.text("id"), s.admin, "").want(200)
	if got := s.call("POST", "/admin/v1/keys/lookup", s.admin, body).want(200); got.text("state") != "revoked" {
		t.Error(got.body)
	}
	s.call("POST", "/admin/v1/keys/lookup", s.admin, `{"key":"pk_m_nonsense"}`).want(404)
	s.call("POST", "/admin/v1/keys/lookup", s.admin, `{}`).want(400)
	s.call("GET", "/admin/v1/keys/lookup", s.admin, "").want(405)
}

func TestAChangeIsPendingUntilItsWindowsEnd(t *testing.T) {
	s := newServer(t, WithZone(time.FixedZone("east", 3600)))
	pending := func(change string) (now, nextMinute, atMidnight bool) {
		made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a","limits":{"rpm":10,"rpd":100}}`).want(201)
		path := "/admin/v1/keys/" + made.text("id")
		s.call("PATCH", path, s.admin, `{"version":1,"effective":"next_window","limits":`+change+`}`).want(200)
		waits := func() bool { return s.call("GET", path, s.admin, "").want(200).object("pending") != nil }
		now = waits()
		s.advance(time.Minute)
		nextMinute = waits()
		s.advance(13 * time.Hour) // it is 00:01 in the zone, 23:01 in UTC
		atMidnight = waits()
		s.advance(-13*time.Hour - time.Minute)
		return now, nextMinute, atMidnight
	}
	if now, nextMinute, atMidnight := pending(`{"rpm":5}`); !now || nextMinute || atMidnight {
		t.Errorf("a limit per minute is pending now %v, a minute later %v, at midnight %v", now, nextMinute, atMidnight)
	}
	if now, nextMinute, atMidnight := pending(`{"rpd":50}`); !now || !nextMinute || atMidnight {
		t.Errorf("a limit per day is pending now %v, a minute later %v, at midnight %v", now, nextMinute, atMidnight)
	}
}

// HTTP/3 and chunked requests do not say that they have no body.
func TestARotationWithoutABodyMayLeaveTheLengthOpen(t *testing.T) {
	s := newServer(t)
	own := s.call("GET", "/admin/v1/me", s.member, "").want(200)
	request := httptest.NewRequest("POST", "/admin/v1/keys/"+own.text("id")+"/rotate", http.NoBody)
	request.ContentLength = -1
	request.Header.Set("Authorization", "Bearer "+s.admin)
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, request)
	if recorder.Code != 200 {
		t.Errorf("status %d", recorder.Code)
	}
}
