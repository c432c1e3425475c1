package rest

import (
	"errors"
	"net/http/httptest"
	"testing"
)

func TestAQueryNamesTheParameterThatIsWrong(t *testing.T) {
	for text, param := range map[string]string{
		"limit=5&word=a&day=2026-01-31&text=x": "", "limit=0": "limit", "limit=x": "limit", "limit=1&limit=2": "limit",
		"word=c": "word", "day=yesterday": "day", "other=1": "other", "limit=x&word=c": "limit", "a=%zz": "?",
	} {
		q, err := readQuery(httptest.NewRequest("GET", "/?"+text, nil))
		if err == nil {
			q.Integer("limit", 100, 1, 10)
			q.Word("word", "a", "b")
			q.Day("day")
			q.Text("text")
			err = q.Done()
		}
		var p *Problem
		if errors.As(err, &p); param == "" && err != nil || param != "" && (p == nil || p.Status != 400 || p.Param != param && param != "?") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
