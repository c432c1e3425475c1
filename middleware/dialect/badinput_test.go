package dialect

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/cputime"
)

// chatOf makes a body of about that many bytes out of what is to stand in its messages.
func chatOf(size int, next func() string) []byte {
	var text strings.Builder
	text.WriteString(`{"model":"tiny","stream":true,"max_tokens":256,"messages":[`)
	for text.Len() < size {
		text.WriteString(`{"role":"user","content":"`)
		for message := text.Len(); text.Len() < min(size, message+4000); {
			text.WriteString(next())
		}
		text.WriteString(`"},`)
	}
	text.WriteString(`{"role":"user","content":"?"}],"temperature":0.7}`)
	return []byte(text.String())
}

// proseBody makes a body of sentences and paragraphs, with quotes and accents among
// them.
func proseBody(size int) []byte {
	words := strings.Fields("the of and a to in is you that it he was for on are as with his they at be this have from or one had by word but not what all were we when your can said there use an each which she do how their if will up other about out many then them these so some her would make like him into time has look two more write go see number no way could people my than first water been call who oil its now find long down day did get come made may part café naïve")
	random := rand.New(rand.NewPCG(1, 2))
	return chatOf(size, func() string {
		switch random.IntN(100) {
		case 0:
			return `.\n\n`
		case 1:
			return `\"` + words[random.IntN(len(words))] + `\" `
		case 2, 3, 4:
			return ". "
		}
		return words[random.IntN(len(words))] + " "
	})
}

// badBodies are bodies that a search for something finds wherever it looks.
func badBodies(size int) map[string][]byte {
	of := func(unit string) []byte { return chatOf(size, func() string { return unit }) }
	list := func(unit string) []byte {
		return []byte(`{"model":"tiny","messages":[` + strings.Repeat(unit+",", size/(len(unit)+1)) + unit + `]}`)
	}
	const deep = 100
	return map[string][]byte{
		"letters i":         of("i"),
		"quotes, escaped":   of(`\"`),
		"backslashes":       of(`\\`),
		"numbers of Han":    of(`\u6f22\u5b57`),
		"pairs of numbers":  of(`\ud83d\ude00`),
		"Han":               of("漢字"),
		"accents":           of("äöü"),
		"quoted now and so": of(`abc\"`),
		"the word image":    of(`image_url audio `),
		"numbers":           list("123"),
		"empty objects":     list("{}"),
		"small objects":     list(`{"a":1}`),
		"parts of text":     list(`{"type":"text","text":"x"}`),
		"images":            list(`{"type":"image_url","image_url":"x"}`),
		"nested lists":      list(strings.Repeat("[", deep) + strings.Repeat("]", deep)),
		"open objects":      append([]byte(`{"a":`), bytes.Repeat([]byte("{"), size)...),
		"open lists":        append([]byte(`{"a":`), bytes.Repeat([]byte("["), size)...),
		"spaces":            list(strings.Repeat(" ", 100) + "1"),
	}
}

// BenchmarkBadInput compares bodies made to be slow with prose, read in turns. The
// times of a byte are the least of many runs.
func BenchmarkBadInput(b *testing.B) {
	const size = 200 << 10
	route := Route{Spec: &chatSpec}
	time := func(body []byte) float64 {
		start := cputime.Used()
		for range 10 {
			if call, err := ReadRequest(route, body); err == nil && call.Model != "tiny" {
				b.Fatal("the body is not read")
			}
		}
		return float64(cputime.Used()-start) / 10 / float64(len(body))
	}
	prose := proseBody(size)
	for name, body := range badBodies(size) {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			bad, good := math.Inf(1), math.Inf(1)
			for b.Loop() {
				bad, good = min(bad, time(body)), min(good, time(prose))
			}
			b.ReportMetric(bad, "cpu-ns/B")
			b.ReportMetric(good, "prose-cpu-ns/B")
			b.ReportMetric(bad/good, "x-prose")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Ten times as much of anything takes about ten times as long, and no byte takes much
// longer than one of prose: what is quadratic takes thousands of times as long.
func TestBadInputTakesLinearTime(t *testing.T) {
	route := Route{Spec: &chatSpec}
	time := func(body []byte) float64 {
		best := math.Inf(1)
		for range 5 {
			start := cputime.Used()
			_, _ = ReadRequest(route, body)
			best = min(best, float64(cputime.Used()-start)/float64(len(body)))
		}
		return best
	}
	large := badBodies(1 << 20)
	prose := time(proseBody(1 << 20))
	for name, small := range badBodies(100 << 10) {
		one, ten := time(small), time(large[name])
		if ten > 4*one+prose || ten > 200*prose {
			t.Errorf("%s: %.2f ns a byte of 100 KiB and %.2f of 1 MiB; prose %.2f", name, one, ten, prose)
		}
	}
}
