package meter

import "testing"

func TestDataLinesAreKnownByTheirField(t *testing.T) {
	for line, want := range map[string]string{
		"data: a": "a", "data:a": "a", "data:  a ": "a ", "data:": "", "data": "", "\ufeffdata: a": "a",
		"database: a": "-", "datum": "-", "": "-", ": data: a": "-", " data: a": "-", "event: data": "-",
	} {
		data, ok := dataOf([]byte(line))
		if got := string(data); ok != (want != "-") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", line, got, ok, want)
		}
	}
}

func TestAnEventOfManyLinesIsReadAsOneText(t *testing.T) {
	for name, test := range map[string]struct{ event, passed string }{
		"the break is in a text": {"data: {\"choices\":[{\"text\":\"a\ndata: b\"}],\"x\":1}\n\n", "data: {\"choices\":[{\"text\":\"a\ndata: b\"}],\"x\":1}\n\n"},
		"a total behind it":      {"data: {\"choices\":[{\"text\":\"a\"}]\ndata: ,\"usage\":null}\n\n", "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"},
		"comments stay":          {": one\ndata: {\"choices\":[{}]\n: two\ndata: ,\"usage\":null}\nretry: 9\n\n", ": one\n: two\nretry: 9\ndata: {\"choices\":[{}]}\n\n"},
		"two events in one":      {"data: {\"choices\":[]\ndata: ,\"usage\":{}}\n\n", ""},
		"one of two is dropped":  {"data: {\"choices\":[],\"usage\":{}}\nid: 7\ndata: {\"choices\":[{}]}\n\n", "id: 7\ndata: {\"choices\":[{}]}\n\n"},
		"both are dropped":       {"data: {\"choices\":[],\"usage\":{}}\ndata: {\"choices\":[],\"usage\":{}}\n\n", ""},
	} {
		if _, out := playStream(t, &chat, test.event, 1<<10); out.passed.String() != test.passed {
			t.Errorf("%s: %q passes, want %q", name, out.passed.String(), test.passed)
		}
	}
	meter, out := playStream(t, &chat, "data: "+sumOf+"\ndata: [DONE]\n\n", 1<<10)
	if !meter.Complete() || out.last.String() != doneLine {
		t.Errorf("complete %v, last %q", meter.Complete(), out.last.String())
	}
}
