package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

// loadWithLog loads a Caddyfile in whose global options %LOG% stands for a log, and returns
// what was logged.
func loadWithLog(t *testing.T, config string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	mustLoad(t, "%s", strings.Replace(config, "%LOG%", "log default {\n\t\toutput file "+file+"\n\t\tformat json\n\t}", 1))
	logged, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(logged)
}

func TestAStartSaysWhatIsServed(t *testing.T) {
	data := t.TempDir()
	logged := loadWithLog(t, `{
	%LOG%
	penstock {
		ledger sqlite `+data+`
		bootstrap demo
		model tiny {
			price input 0.2
			price output 0.6
		}
		model large
	}
}

http://`+testkit.FreeAddress(t)+` {
	penstock_proxy 127.0.0.1:1 127.0.0.1:2 {
		lb_policy penstock {
			upstream 127.0.0.1:1 kind vllm
		}
	}
}
`)
	for _, want := range []string{
		`"msg":"serving"`, `"version":"`, `"ledger":"sqlite:` + data + `"`, `"accounts":1`, `"keys":2`,
		`"models":["large: 1.000000 a minute","tiny: 0.200000 a million input tokens, 0.600000 a million output tokens"]`,
		`"upstreams":["127.0.0.1:1 (vllm)","127.0.0.1:2 (any kind)"]`,
	} {
		if !strings.Contains(logged, want) {
			t.Errorf("the log does not hold %s", want)
		}
	}
	if t.Failed() {
		t.Log(logged)
	}
}

func TestAPriceNamesItsUnits(t *testing.T) {
	for want, model := range map[string]Model{
		"0.0001 a second of sound":          {Price: &Price{AudioSecond: "0.0001"}},
		"0.010000 a request, 0.04 an image": {Price: &Price{Image: "0.04", Request: "0.01"}},
		"1.000000 a minute, 0.04 an image":  {Price: &Price{Image: "0.04", Minute: "1"}},
		"2.000000 a million input tokens":   {Price: &Price{Input: "2", CachedInput: "0"}},
	} {
		price, err := model.price()
		if got := model.priceText(price); err != nil || got != want {
			t.Errorf("%+v is written %q, want %q: %v", *model.Price, got, want, err)
		}
	}
	for want, price := range map[string]ledger.Price{
		"free":               {},
		"0.500000 a request": {Request: ledger.Credit / 2},
		"1.000000 a minute, 2.000000 a million input tokens, 3.000000 a million output tokens": {
			Minute: ledger.Credit, Input: 2 * ledger.Credit, Output: 3 * ledger.Credit, CachedInput: ledger.Free,
		},
	} {
		if got := priceText(price); got != want {
			t.Errorf("%+v is written %q, want %q", price, got, want)
		}
	}
}
