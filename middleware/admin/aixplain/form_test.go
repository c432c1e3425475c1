package aixplain

import (
	"testing"
	"time"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
)

func TestExpiryIsReadInEveryFormThatClientsSend(t *testing.T) {
	want := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{
		"2030-06-01T00:00:00Z", "2030-06-01T00:00:00.0Z", "2030-06-01T00:00:00.000Z", "2030-06-01T00:00:00.000000Z",
		"2030-06-01T00:00:00.000000000Z", "2030-06-01T02:00:00+02:00", "2030-06-01T00:00:00", "2030-06-01T00:00:00.000000",
		"2030-06-01 00:00:00", "2030-06-01",
	} {
		got, err := readMoment(t, text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2030-13-01T00:00:00Z", "2030-02-30", "1e9", "2030-06-01T00:00", "2030-06-01T00:00:00 UTC"} {
		if got, err := readMoment(t, text); err == nil {
			t.Errorf("%s: read as %v", text, got)
		}
	}
}

// readMoment reads a time as the routes of the SDK read it.
func readMoment(t *testing.T, text string) (time.Time, error) {
	t.Helper()
	f, err := rest.ParseFields([]byte(`{"expiresAt":"` + text + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	moment, _ := f.Moment("expiresAt", time.Unix(0, 0), timeForms[:]...)
	return moment, f.Err()
}

func FuzzReadingAKeyOfTheSDKNeverPanics(f *testing.F) {
	f.Add([]byte(`{"name":"a","globalLimits":{"rpm":1},"assetsLimits":[{"assetId":"m"}],"budget":1e5}`))
	a := &api{Config{Rules: new(rules.Set), Now: time.Now}}
	f.Fuzz(func(_ *testing.T, body []byte) {
		if fields, err := rest.ParseFields(body); err == nil {
			a.readForm(fields, nil)
		}
	})
}
