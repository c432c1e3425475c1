package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

func TestAmountsAreReadExactlyOrRefused(t *testing.T) {
	for text, want := range map[string]Micro{
		"0": 0, "1": Credit, "12.5": 12_500_000, "0.000001": 1, "-3": -3 * Credit, "007": 7 * Credit, "1.000000": Credit,
		"9007199254.740991": MaxMicro, "-0.5": -500_000,
	} {
		if got, err := ParseMicro(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ".", "1.", ".5", "1.0000001", "1e3", "+1", "--1", "-", "1,5", "1 ", " 1", "0x1", "NaN", "1_000", "١",
		"9007199254.740992", "99999999999999999999", "1.-5", strings.Repeat("9", 10_000),
	} {
		if got, err := ParseMicro(text); !errors.Is(err, ErrAmount) {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
}

func TestAmountsPrintSixDigitsAndReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := Micro(rapid.Int64Range(-int64(MaxMicro), int64(MaxMicro)).Draw(t, "amount"))
		text := FormatMicro(amount)
		if !regexp.MustCompile(`^-?\d+\.\d{6}$`).MatchString(text) {
			t.Fatalf("%d prints %q", amount, text)
		}
		if back, err := ParseMicro(text); err != nil || back != amount {
			t.Fatalf("%q reads %d, %v, want %d", text, back, err, amount)
		}
	})
}

// TestTheCostIsTheExactSumRoundedUpOnce compares the cost with unbounded integers.
func TestTheCostIsTheExactSumRoundedUpOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string, most int64) int64 {
			if rapid.Bool().Draw(t, name+" is small") {
				most = min(most, 100_000)
			}
			return rapid.Int64Range(0, most).Draw(t, name)
		}
		price := Price{
			Minute: Micro(amount("minute", int64(MaxMicro))), Input: Micro(amount("input", int64(MaxMicro))),
			Output: Micro(amount("output", int64(MaxMicro))), Request: Micro(amount("request", int64(MaxMicro))),
		}
		price.CachedInput = Micro(rapid.Int64Range(-1, int64(price.Input)).Draw(t, "cached"))
		q := Quantity{
			InputTokens: amount("input tokens", 1<<62), CachedTokens: amount("cached tokens", 1<<62),
			OutputTokens: amount("output tokens", 1<<62), Duration: time.Duration(amount("duration", 1<<62)),
		}
		cached := min(q.CachedTokens, q.InputTokens)
		cachedPrice := price.CachedInput
		if cachedPrice == 0 {
			cachedPrice = price.Input
		}
		sum := new(big.Int)
		add := func(a, b, scale int64) {
			product := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
			sum.Add(sum, product.Mul(product, big.NewInt(scale)))
		}
		add(q.Duration.Microseconds(), int64(price.Minute), 1)
		add(q.InputTokens-cached, int64(price.Input), 60)
		add(cached, int64(max(cachedPrice, 0)), 60)
		add(q.OutputTokens, int64(price.Output), 60)
		add(int64(price.Request), 60_000_000, 1)
		want, rest := new(big.Int).QuoRem(sum, big.NewInt(60_000_000), new(big.Int))
		if rest.Sign() > 0 {
			want.Add(want, big.NewInt(1))
		}
		got, exact := price.Cost(q)
		if fits := want.Cmp(big.NewInt(int64(MaxMicro))) <= 0; fits != exact || (fits && want.Int64() != int64(got)) || (!fits && got != MaxMicro) {
			t.Fatalf("cost %d, exact %v, want %s", got, exact, want)
		}
	})
}

// TestNoFloatHoldsMoney reads the source: money and tokens must never touch a
// floating point number.
func TestNoFloatHoldsMoney(t *testing.T) {
	float := regexp.MustCompile(`float(32|64)|ParseFloat|\.Seconds\(\)|\.Minutes\(\)|\.Hours\(\)|\bREAL\b`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("sqlitestore/*.go")
	if err != nil || len(files) == 0 || len(more) == 0 {
		t.Fatal("no source found", err)
	}
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(source), "\n") {
			if float.MatchString(line) {
				t.Errorf("%s:%d: %s", file, number+1, line)
			}
		}
	}
}

func FuzzParseMicro(f *testing.F) {
	for _, text := range []string{"1", "-0.000001", "9007199254.740991", "1.", "1e9"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := ParseMicro(text)
		if err != nil {
			return
		}
		if back, err := ParseMicro(amount.String()); err != nil || back != amount {
			t.Errorf("%q is %d, prints %s", text, amount, amount)
		}
	})
}

func FuzzParseText(f *testing.F) {
	id := keyID([]byte("0123456789"))
	text, err := mintText(iotest.DataErrReader(bytes.NewReader(bytes.Repeat([]byte{7}, 100))), RoleMember, id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("pk_m_")
	f.Add(strings.Replace(text, "_m_", "_a_", 1))
	f.Fuzz(func(t *testing.T, candidate string) {
		got, own, valid := parseText(candidate)
		if valid && (!own || candidate[5:15] != string(got[:])) {
			t.Errorf("%q: id %q", candidate, got[:])
		}
		// One changed byte is always found: that is what a CRC-32 promises.
		if valid && candidate != text && len(candidate) == len(text) {
			differences := 0
			for i := range candidate {
				if candidate[i] != text[i] {
					differences++
				}
			}
			if differences == 1 {
				t.Errorf("%q and %q are both valid", candidate, text)
			}
		}
	})
}

func TestHoldIDsPrintEpochAndCounter(t *testing.T) {
	id := makeHoldID(3, 41)
	if id.String() != "3|41" || id.Epoch() != 3 || id.Counter() != 41 || fmt.Sprint(id) != "3|41" {
		t.Errorf("hold id %s", id)
	}
}
