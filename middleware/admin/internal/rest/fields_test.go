package rest

import "testing"

func TestTheBodyIsOneJSONObject(t *testing.T) {
	for _, body := range []string{``, `null`, `[]`, `"x"`, `{`, `{"a":1`, `{"a":1}{}`, `{"a":1}x`, `{"a"}`, "{\"a\":\"\xff\"}", `{'a':1}`} {
		if _, err := ParseFields([]byte(body)); err == nil {
			t.Errorf("%q: accepted", body)
		}
	}
}
