package model

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

func TestFileIsTheOneOfTheCard(t *testing.T) {
	sum := sha256.Sum256(File())
	if got := hex.EncodeToString(sum[:]); got != SHA256 {
		t.Errorf("the embedded file has SHA-256 %s, want %s", got, SHA256)
	}
	card, err := os.ReadFile("MODEL_CARD.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(card), SHA256) {
		t.Errorf("MODEL_CARD.md does not name SHA-256 %s", SHA256)
	}
}

func TestFileIsSmallAndSaysThatItIsADemonstration(t *testing.T) {
	r := newRunner(t)
	info := r.Info()
	if info.Model != Title || !info.Demonstration {
		t.Errorf("model %q, demonstration %v; want %q, true", info.Model, info.Demonstration, Title)
	}
	if info.Parameters < 1_500_000 || info.Parameters > 3_000_000 || len(File()) > 4<<20 {
		t.Errorf("%d parameters in %d bytes; want 1.5 to 3 million in at most 4 MiB", info.Parameters, len(File()))
	}
}

// The share of answers of each set that must be right to the letter under greedy
// decoding.
func TestAnswersReachTheBars(t *testing.T) {
	seen, kept, off := testSets(t)
	r := newRunner(t)
	for _, set := range []struct {
		name   string
		system string
		pairs  []pair
		bar    float64
	}{
		{"seen phrasings", "", seen, 0.95},
		{"kept phrasings", "", kept, 0.75},
		{"kept off-topic questions", "", off, 0.80},
		{"seen phrasings after a system prompt", "You are a helpful assistant.", seen[:200], 0.95},
	} {
		t.Run(set.name, func(t *testing.T) {
			var right, sampled float64
			for n, outcome := range r.score(t, set.system, set.pairs) {
				sampled += outcome.sampled
				if outcome.greedy {
					right++
				} else if testing.Verbose() {
					t.Logf("wrong: %s", set.pairs[n].question)
				}
			}
			all := float64(len(set.pairs))
			t.Logf("%.1f %% of %d exact, %.1f %% when sampled at temperature %g", 100*right/all, len(set.pairs), 100*sampled/all, apiTemperature)
			if right/all < set.bar {
				t.Errorf("%.1f %% of the answers are exact, want at least %.0f %%", 100*right/all, 100*set.bar)
			}
		})
	}
}

// testSets returns some questions of every entry, all kept ones, and the kept
// off-topic ones.
func testSets(t *testing.T) (seen, kept, off []pair) {
	entries := readEntries(t)
	var refused string
	for _, e := range entries {
		if e.name == refusal {
			refused = e.answer
			continue
		}
		for n := 0; n < 3; n++ { // the first, one from the middle, the last
			seen = append(seen, pair{e.seen[n*(len(e.seen)-1)/2], e.answer})
		}
		for _, question := range e.kept {
			kept = append(kept, pair{question, e.answer})
		}
	}
	for _, question := range readLines(t, "questions/offtopic_kept.txt") {
		off = append(off, pair{question, refused})
	}
	return seen, kept, off
}

func TestGeneratedTextIsTheScoredAnswer(t *testing.T) {
	r := newRunner(t)
	seen, _, off := testSets(t)
	pairs := append(seen[:12:12], off[:4]...)
	for n, outcome := range r.score(t, "", pairs) {
		got := r.generate(t, pairs[n].question)
		if (got == pairs[n].answer) != outcome.greedy {
			t.Errorf("%q: scored as exact: %v, but generated %q", pairs[n].question, outcome.greedy, got)
		}
	}
}

func TestReadmeQuestion(t *testing.T) {
	const want = "One credit is one minute of compute. It is counted in millionths, called micro-credits."
	if got := newRunner(t).generate(t, "What is a credit?"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
