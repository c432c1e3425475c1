package dialect

import (
	"fmt"
	"strings"
	"testing"
)

func TestNoMemberOfOptionsAppearsTwice(t *testing.T) {
	var members []string
	for i := range 40 {
		members = append(members, fmt.Sprintf(`"option_%d":%d`, i, i))
		for _, object := range []string{"options", "sampling_params", "stream_options", "extra_body"} {
			once := `{"model":"m","messages":[],"` + object + `":{` + strings.Join(members, ",") + `}}`
			if _, err := ReadRequest(route(t, "/v1/chat/completions"), []byte(once)); err != nil {
				t.Fatalf("%d members of %s: %v", i+1, object, err)
			}
			for _, again := range []int{0, i / 2, i} {
				twice := strings.Replace(once, "}}", ","+members[again]+"}}", 1)
				if _, err := ReadRequest(route(t, "/v1/chat/completions"), []byte(twice)); err == nil || !strings.Contains(err.Error(), "holds a member twice") {
					t.Fatalf("member %d of %d of %s twice: %v", again, i+1, object, err)
				}
			}
		}
	}
}

func TestOptionsThatAreNoJSONAreRefused(t *testing.T) {
	for _, options := range []string{`{"a":1`, `{"a"}`, `{"a":}`, `{"options":{"a":[}}}`, `{,}`} {
		for _, object := range []string{"options", "stream_options"} {
			_, err := ReadRequest(route(t, "/api/chat"), []byte(`{"model":"m","messages":[],"`+object+`":`+options+`}`))
			if err == nil || !strings.Contains(err.Error(), "not valid JSON") {
				t.Errorf("%s %s: %v", object, options, err)
			}
		}
	}
}
