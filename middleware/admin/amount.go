package admin

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"github.com/penstockhq/penstock/ledger"
)

// amount reads credits: a decimal string or a whole number, as JSON numbers
// with a fraction pass through floats on their way.
func (f *fields) amount(name string) (amount ledger.Micro, present bool) {
	raw, present := f.value(name)
	if !present {
		return 0, false
	}
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		// What split accepted is valid JSON.
		_ = json.Unmarshal(raw, &text)
	} else if strings.ContainsAny(text, ".eE") {
		f.refuse(name, "%s is not a decimal string or a whole number of credits", shown(raw))
		return 0, false
	}
	amount, err := ledger.ParseMicro(text)
	if err != nil || amount < 0 || strings.HasPrefix(text, "-") {
		f.refuse(name, "%s is not an amount of credits such as 12.5, with at most 6 decimal places and at most %s",
			shown(text), ledger.MaxMicro)
		return 0, false
	}
	return amount, true
}

// numberAmount reads credits from a JSON number as Python writes it, such as
// 0.1 or 1e-05, rounded to the nearest micro-credit.
func (f *fields) numberAmount(name string) (amount ledger.Micro, present bool) {
	raw, present := f.value(name)
	if !present {
		return 0, false
	}
	text := string(raw)
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	number := new(big.Rat)
	// A long exponent would make the exact number fill the memory.
	ok := text[0] != '"' && len(text) <= 40 && len(exponent) <= 3
	if ok {
		_, ok = number.SetString(text)
	}
	if !ok || number.Sign() < 0 {
		f.refuse(name, "%s is not an amount of credits", shown(raw))
		return 0, false
	}
	number.Mul(number, big.NewRat(int64(ledger.Credit), 1))
	rounded, err := strconv.ParseInt(number.FloatString(0), 10, 64)
	if err != nil || ledger.Micro(rounded) > ledger.MaxMicro {
		f.refuse(name, "%s exceeds %s credits", shown(raw), ledger.MaxMicro)
		return 0, false
	}
	return ledger.Micro(rounded), true
}

// amountNumber writes an amount as a JSON number that is exact in decimal.
func amountNumber(amount ledger.Micro) json.Number {
	text := strings.TrimRight(amount.String(), "0")
	return json.Number(strings.TrimSuffix(text, "."))
}
