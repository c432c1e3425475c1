package console

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestModelLimitsAreReadFromTheLastColon(t *testing.T) {
	rows, err := modelLimits([]string{"org/tiny:7b:rpm=5,token_type=input", "large:tpd=9"})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	if rows[0]["model"] != "org/tiny:7b" || rows[0]["rpm"] != int64(5) || rows[0]["token_type"] != "input" {
		t.Errorf("the first row is %v", rows[0])
	}
	for text, want := range map[string]string{
		"rpm=5":             "expected MODEL:LIMIT=NUMBER",
		":rpm=5":            "expected MODEL:LIMIT=NUMBER",
		"tiny:rpm":          `"rpm" is not LIMIT=NUMBER`,
		"tiny:rpm=5,rpm=6":  "rpm is given twice",
		"tiny:rpm=5,model=": "model is given twice",
	} {
		if _, err := modelLimits([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestAnExpiryIsATimeOrADurationFromNow(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"720h":                 "2030-03-02T12:00:00Z",
		"2031-01-01T00:00:00Z": "2031-01-01T00:00:00Z",
		"tomorrow":             "tomorrow",
	} {
		if got := expiry(text, now); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestEachLimitHasAFlag(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	body := keyFlags(flags)
	if err := flags.Parse([]string{"--rpm=1", "--tpm=2", "--rpd=3", "--tpd=0", "--max-in-flight=5"}); err != nil {
		t.Fatal(err)
	}
	read, err := body(flags)
	if err != nil {
		t.Fatal(err)
	}
	want := record{"rpm": int64(1), "tpm": int64(2), "rpd": int64(3), "tpd": int64(0), "max_in_flight": int64(5)}
	if got := read["limits"].(record); !maps.Equal(got, want) {
		t.Errorf("the limits are %v, want %v", got, want)
	}
}
