package gpubackend

import (
	"strings"
	"testing"
)

func TestNamesThatNobodyCouldSendAreRefused(t *testing.T) {
	for _, name := range []string{"", "a\xffb"} {
		if _, err := New(WithModelName("good", name)); err == nil || !strings.Contains(err.Error(), "model names") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
