package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/admintest"
)

func TestAPatchChangesWhatItNamesAndNothingElse(t *testing.T) {
	s := newServer(t, WithDefaultLimits(limits.Row{RPM: 60, TPM: 30000}))
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a","budget":1,"metadata":{"k":"v"},"permissions":["rag"],"cidrs":["10.0.0.0/8"],
		"expires_at":"2030-01-01T00:00:00Z","models":["tiny"],"model_limits":[{"model":"tiny","rpm":1}]}`).Want(201)
	path := "/admin/v1/keys/" + made.Text("id")
	got := s.Call("PATCH", path, s.Admin, `{"version":1,"limits":{"rpm":10}}`).Want(200)
	if got.Number("version") != 2 || got.Header.Get("ETag") != `"2"` {
		t.Errorf("version %v, tag %s", got.Number("version"), got.Header.Get("ETag"))
	}
	for _, name := range []string{"name", "budget", "metadata", "permissions", "cidrs", "expires_at", "models", "model_limits"} {
		if before, after := fmt.Sprint(made.Fields()[name]), fmt.Sprint(got.Fields()[name]); before != after {
			t.Errorf("%s went from %s to %s", name, before, after)
		}
	}
	if row := got.Object("limits"); row["rpm"] != 10.0 || row["tpm"] != 30000.0 || got.Fields()["pending"] != nil {
		t.Errorf("limits are %s", got.Body)
	}

	got = s.Call("PATCH", path, s.Admin, `{"name":"b","budget":null,"expires_at":null,"models":[],"permissions":null,"cidrs":[],"metadata":{},"model_limits":[]}`,
		"If-Match", `"2"`).Want(200)
	if text := fmt.Sprint(got.Fields()["name"], got.Fields()["budget"], got.Fields()["expires_at"], got.List("models"), got.List("permissions"),
		got.List("cidrs"), got.Object("metadata"), got.List("model_limits")); text != "b<nil> <nil> [] [] [] map[] []" {
		t.Errorf("after clearing: %s", text)
	}

	got = s.Call("PATCH", path, s.Admin, `{"version":3,"limits":{"rpm":5},"effective":"next_window"}`).Want(200)
	pending := got.Object("pending")
	if got.Object("limits")["rpm"] != 5.0 || pending["previous_limits"].(map[string]any)["rpm"] != 10.0 || pending["changed_at"] != "2026-11-20T10:00:00.000Z" {
		t.Errorf("a change for the next window shows %s", got.Body)
	}
}

func TestAPatchNamesTheFieldThatIsWrong(t *testing.T) {
	s := newServer(t, WithBounds(limits.Bounds{limits.RPM: {Min: 0, Max: 600}}))
	path := "/admin/v1/keys/" + s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a","limits":{"rpm":1}}`).Want(201).Text("id")
	for body, param := range map[string]string{
		`{"version":0}`: "version", `{"version":"1"}`: "version", `{"version":1,"name":null}`: "name",
		`{"version":1,"name":""}`: "name", `{"version":1,"role":"admin"}`: "role", `{"version":1,"owner":"x"}`: "owner",
		`{"version":1,"limits":{"rpm":601}}`: "limits.rpm", `{"version":1,"limits":{"rpm":-1}}`: "limits.rpm",
		`{"version":1,"effective":"later"}`: "effective", `{"version":1,"expires_at":"2020-01-01T00:00:00Z"}`: "expires_at",
		`{"version":1,"budget":"x"}`: "budget", `{"version":1,"cidrs":["x"]}`: "cidrs", `{"version":1,"permissions":["x"]}`: "permissions",
		`{"version":1,"key":"x"}`: "key",
	} {
		got := s.Call("PATCH", path, s.Admin, body).Want(400)
		if got.Param() != param {
			t.Errorf("%s: %s", body, got.Body)
		}
	}
	if got := s.Call("GET", path, s.Admin, "").Want(200); got.Number("version") != 1 {
		t.Errorf("refused changes made version %v", got.Number("version"))
	}
	s.Call("DELETE", path, s.Admin, "").Want(200)
	if got := s.Call("PATCH", path, s.Admin, `{"version":2,"name":"b"}`).Want(409); got.ErrorCode() != "key_revoked" {
		t.Error(got.Body)
	}
}

func TestAVersionIsOptionalAndHonouredWhereItIsGiven(t *testing.T) {
	s := newServer(t)
	path := "/admin/v1/keys/" + s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201).Text("id")
	for i, headers := range [][]string{nil, {"If-Match", "*"}, {"If-Match", `"3"`}} {
		got := s.Call("PATCH", path, s.Admin, fmt.Sprintf(`{"name":"b%d"}`, i), headers...).Want(200)
		if got.Text("name") != fmt.Sprintf("b%d", i) || got.Number("version") != float64(i+2) {
			t.Errorf("with %v: %s", headers, got.Body)
		}
	}
	for _, old := range []admintest.Reply{
		s.Call("PATCH", path, s.Admin, `{"name":"c","version":3}`),
		s.Call("PATCH", path, s.Admin, `{"name":"c"}`, "If-Match", `"3"`),
	} {
		if old.Want(409).ErrorCode() != "version_conflict" || old.Number("current_version") != 4 {
			t.Error(old.Body)
		}
	}
	for _, tag := range []string{`"x"`, `"5"`, `"0"`} {
		if got := s.Call("PATCH", path, s.Admin, `{"name":"c","version":4}`, "If-Match", tag).Want(400); got.Param() != "If-Match" {
			t.Errorf("If-Match %s: %s", tag, got.Body)
		}
	}
}

func TestOfTwoAdminsWhoPatchAtOnceOneIsToldTheCurrentVersion(t *testing.T) {
	s := newServer(t)
	path := "/admin/v1/keys/" + s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201).Text("id")
	for round := range 25 {
		version := round + 1
		replies := make([]admintest.Reply, 2)
		var both sync.WaitGroup
		for i := range replies {
			both.Go(func() {
				replies[i] = s.Call("PATCH", path, s.Admin, fmt.Sprintf(`{"version":%d,"name":"admin-%d-%d"}`, version, i, round))
			})
		}
		both.Wait()
		won, lost := replies[0], replies[1]
		if won.Status != 200 {
			won, lost = lost, won
		}
		if won.Status != 200 || lost.Status != 409 || lost.ErrorCode() != "version_conflict" || lost.Number("current_version") != float64(version+1) {
			t.Fatalf("round %d: %d %s and %d %s", round, won.Status, won.Body, lost.Status, lost.Body)
		}
		if now := s.Call("GET", path, s.Admin, "").Want(200); now.Text("name") != won.Text("name") {
			t.Fatalf("round %d: the key is named %s, the winner said %s", round, now.Text("name"), won.Text("name"))
		}
	}
}

func TestARotatedKeyOverlapsWithItsOldText(t *testing.T) {
	s := newServer(t)
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a","budget":5}`).Want(201)
	path, old := "/admin/v1/keys/"+made.Text("id"), made.Text("key")
	got := s.Call("POST", path+"/rotate", s.Admin, `{"overlap_seconds":3600}`).Want(200)
	if got.Text("id") != made.Text("id") || got.Text("key") == old || got.Text("budget") != "5.000000" || got.Text("previous_valid_until") != "2026-11-20T11:00:00.000Z" {
		t.Fatal(got.Body)
	}
	for _, text := range []string{old, got.Text("key")} {
		s.Call("GET", "/admin/v1/me", text, "").Want(200)
	}
	s.Advance(time.Hour)
	s.Call("GET", "/admin/v1/me", old, "").Want(401)
	s.Call("GET", "/admin/v1/me", got.Text("key"), "").Want(200)

	again := s.Call("POST", path+"/rotate", s.Admin, "").Want(200)
	if again.Text("previous_valid_until") != "2026-11-21T11:00:00.000Z" {
		t.Errorf("without a body the overlap ends %s", again.Text("previous_valid_until"))
	}
	s.Call("POST", path+"/rotate", s.Admin, `{"overlap_seconds":0}`).Want(200)
	s.Call("GET", "/admin/v1/me", again.Text("key"), "").Want(401)
	// What the rotation before promised still holds, until it is ended.
	s.Call("GET", "/admin/v1/me", got.Text("key"), "").Want(200)
	none := s.Call("POST", path+"/rotate", s.Admin, `{"overlap_seconds":0,"end_previous":true}`).Want(200)
	s.Call("GET", "/admin/v1/me", got.Text("key"), "").Want(401)
	s.Call("GET", "/admin/v1/me", none.Text("key"), "").Want(200)
	for _, body := range []string{`{"overlap_seconds":604801}`, `{"overlap_seconds":-1}`, `{"overlap_seconds":"1h"}`} {
		if got := s.Call("POST", path+"/rotate", s.Admin, body).Want(400); got.Param() != "overlap_seconds" {
			t.Error(got.Body)
		}
	}
}

func TestMoreOverlapsThanAKeyCanHaveAreRefused(t *testing.T) {
	s := newServer(t)
	path := "/admin/v1/keys/" + s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201).Text("id") + "/rotate"
	for range 10 {
		s.Call("POST", path, s.Admin, "").Want(200)
	}
	if got := s.Call("POST", path, s.Admin, "").Want(409); got.ErrorCode() != "too_many_overlaps" {
		t.Error(got.Body)
	}
	s.Call("POST", path, s.Admin, `{"end_previous":true}`).Want(200)
}

func TestAPausedKeyIsRefusedUntilItIsResumed(t *testing.T) {
	s := newServer(t)
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a","role":"admin"}`).Want(201)
	path := "/admin/v1/keys/" + made.Text("id")
	if got := s.Call("PATCH", path, s.Admin, `{"paused":true}`).Want(200); got.Text("state") != "paused" {
		t.Error(got.Body)
	}
	if got := s.Call("GET", "/admin/v1/keys", made.Text("key"), "").Want(403); got.ErrorCode() != "key_paused" {
		t.Error(got.Body)
	}
	if got := s.Call("GET", "/admin/v1/keys?state=paused", s.Admin, "").Want(200).List("keys"); len(got) != 1 {
		t.Errorf("%d paused keys", len(got))
	}
	if got := s.Call("PATCH", path, s.Admin, `{"paused":false}`).Want(200); got.Text("state") != "active" {
		t.Error(got.Body)
	}
	s.Call("GET", "/admin/v1/keys", made.Text("key"), "").Want(200)
}

func TestAKeySaysWhenItWasLastUsed(t *testing.T) {
	s := newServer(t)
	s.Grant("default", ledger.Credit)
	if got := s.Call("GET", "/admin/v1/me", s.Member, "").Want(200); got.Fields()["last_used_at"] != nil {
		t.Error(got.Body)
	}
	s.Spend(s.Member, "tiny", ledger.Quantity{InputTokens: 1})
	s.Advance(time.Hour)
	if got := s.Call("GET", "/admin/v1/me", s.Member, "").Want(200); got.Text("last_used_at") != "2026-11-20T10:00:00.000Z" {
		t.Error(got.Body)
	}
}

func TestAKeyIsFoundByItsText(t *testing.T) {
	s := newServer(t)
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201)
	body := fmt.Sprintf(`{"key":%q}`, made.Text("key"))
	if got := s.Call("POST", "/admin/v1/keys/lookup", s.Admin, body).Want(200); got.Text("id") != made.Text("id") || got.Text("key") != "" {
		t.Error(got.Body)
	}
	s.Call("POST", "/admin/v1/keys/lookup", acme, body).Want(404)
	s.Call("POST", "/admin/v1/keys/lookup", s.Member, body).Want(403)
	s.Call("DELETE", "/admin/v1/keys/"+made.Text("id"), s.Admin, "").Want(200)
	if got := s.Call("POST", "/admin/v1/keys/lookup", s.Admin, body).Want(200); got.Text("state") != "revoked" {
		t.Error(got.Body)
	}
	s.Call("POST", "/admin/v1/keys/lookup", s.Admin, `{"key":"pk_m_nonsense"}`).Want(404)
	s.Call("POST", "/admin/v1/keys/lookup", s.Admin, `{}`).Want(400)
	s.Call("GET", "/admin/v1/keys/lookup", s.Admin, "").Want(405)
}

func TestAChangeIsPendingUntilItsWindowsEnd(t *testing.T) {
	s := newServer(t, WithZone(time.FixedZone("east", 3600)))
	pending := func(change string) (now, nextMinute, atMidnight bool) {
		made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a","limits":{"rpm":10,"rpd":100}}`).Want(201)
		path := "/admin/v1/keys/" + made.Text("id")
		s.Call("PATCH", path, s.Admin, `{"version":1,"effective":"next_window","limits":`+change+`}`).Want(200)
		waits := func() bool { return s.Call("GET", path, s.Admin, "").Want(200).Object("pending") != nil }
		now = waits()
		s.Advance(time.Minute)
		nextMinute = waits()
		s.Advance(13 * time.Hour) // it is 00:01 in the zone, 23:01 in UTC
		atMidnight = waits()
		s.Advance(-13*time.Hour - time.Minute)
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
	own := s.Call("GET", "/admin/v1/me", s.Member, "").Want(200)
	request := httptest.NewRequest("POST", "/admin/v1/keys/"+own.Text("id")+"/rotate", http.NoBody)
	request.ContentLength = -1
	request.Header.Set("Authorization", "Bearer "+s.Admin)
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, request)
	if recorder.Code != 200 {
		t.Errorf("status %d", recorder.Code)
	}
}
