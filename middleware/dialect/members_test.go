package dialect

import (
	"slices"
	"testing"
)

func TestEveryMemberIsFoundByItsName(t *testing.T) {
	for id := memberNone + 1; id < memberCount; id++ {
		if name := memberNames[id]; name == "" || memberByName([]byte(name)) != id {
			t.Errorf("member %d is named %q, which is member %d", id, name, memberByName([]byte(name)))
		}
	}
	if memberByName([]byte("temperature")) != memberNone {
		t.Error("a member that nobody reads has a number")
	}
}

func TestLookalikesOfAllMembersThatHoldMediaAreRefused(t *testing.T) {
	for _, spec := range append([]*Spec{&sglangSpec}, specs...) {
		for _, member := range spec.request.media {
			if !slices.Contains(mediaNames, member.name) {
				t.Errorf("%s reads %q, and no lookalike of it is refused", spec.Class, member.name)
			}
		}
	}
}
