package limiter

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockhq/penstock/limits"
)

// A caller could ask again and again with less. The limiter answers at once, and the
// same.
func TestACallThatMayShrinkGetsTheLargestOutputThatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := int64(rapid.IntRange(1, 5).Draw(t, "step"))
		request := Request{
			Key: "key", Model: "tiny", OutputStep: step,
			Tokens: Tokens{Input: int64(rapid.IntRange(0, 60).Draw(t, "input")), Output: step * int64(rapid.IntRange(1, 60).Draw(t, "output"))},
		}
		limit := func(name string) int64 { return int64(rapid.SampledFrom([]int{0, 1, 7, 40, 90, 200}).Draw(t, name)) }
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			request.Rows = append(request.Rows, limits.Binding{Row: limits.Row{
				Model: rapid.SampledFrom([]string{"", "tiny"}).Draw(t, "model"), TPM: limit("tpm"), TPD: limit("tpd"),
				TokenType: limits.TokenType(rapid.IntRange(0, 2).Draw(t, "type")),
			}})
		}
		m := New(WithClock(newFakeClock()))
		foretold, err := m.Inspect(background, request)
		if err != nil {
			t.Fatal(err)
		}
		largest := int64(0)
		for output := request.Tokens.Output; output >= step; output -= step {
			asked := request
			asked.OutputStep, asked.Tokens.Output = 0, output
			decision, err := New(WithClock(newFakeClock())).Reserve(background, asked)
			if err != nil {
				t.Fatal(err)
			}
			if decision.Admitted {
				largest = output
				break
			}
		}
		decision, err := m.Reserve(background, request)
		if err != nil {
			t.Fatal(err)
		}
		want := Tokens{Input: request.Tokens.Input, Output: largest}
		if decision.Admitted != (largest > 0) || decision.Admitted && decision.Reserved != want {
			t.Fatalf("admitted %v with %+v, want %+v", decision.Admitted, decision.Reserved, want)
		}
		if foretold.Admitted != decision.Admitted || foretold.Refusal != decision.Refusal ||
			decision.Admitted && foretold.Reserved != decision.Reserved {
			t.Fatalf("foretold is %+v, decided %+v", foretold, decision)
		}
		if !decision.Admitted && !decision.Refusal.Never {
			t.Fatalf("refused for %v, and not for good", decision.Refusal.RetryAfter)
		}
	})
}

func TestACallShrinksForWhatItNeverFitsAndNotForWhatIsInUse(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	rows := global(limits.Row{TPM: 100})
	admit(t, m, outputCall(90, rows))
	request := outputCall(50, rows)
	request.OutputStep = 1
	if refusal := refuse(t, m, request); refusal.Never || refusal.Needed != 50 {
		t.Errorf("%+v: the call fits a minute later", refusal)
	}
}
