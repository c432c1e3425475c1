package balance

import "testing"

func TestTokensOfAPromptAreEstimatedFromBothSides(t *testing.T) {
	for _, test := range []struct {
		call Call
		want int64
	}{
		{Call{}, 0},
		{Call{Prompt: make([]byte, 400)}, 100},
		{Call{Prompt: make([]byte, 400), Tokens: 130}, 100},
		{Call{Prompt: make([]byte, 4000), Tokens: 300}, 300}, // a picture has fewer tokens than bytes
		{Call{Tokens: 50}, 50},
	} {
		if got := test.call.promptTokens(); got != test.want {
			t.Errorf("%d bytes, at most %d tokens: %d, want %d", len(test.call.Prompt), test.call.Tokens, got, test.want)
		}
	}
}

func TestEveryStrategyIsValid(t *testing.T) {
	for _, strategy := range append(Strategies(), "") {
		if err := strategy.Validate(); err != nil {
			t.Error(err)
		}
	}
}
