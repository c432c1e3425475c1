package runtime

import (
	"runtime/debug"
	"testing"
)

func TestTheVersionIsThatOfTheModuleOrTheCommit(t *testing.T) {
	own, other := debug.Module{Path: modulePath, Version: "(devel)"}, debug.Module{Path: "caddy", Version: "v9"}
	commit := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc"}}
	for want, info := range map[string]*debug.BuildInfo{
		"v1.2.3": {Main: other, Deps: []*debug.Module{{Path: "x", Version: "v7"}, {Path: modulePath, Version: "v1.2.3"}}, Settings: commit},
		"v2.0.0": {Main: debug.Module{Path: modulePath, Version: "v2.0.0"}, Settings: commit},
		"abc":    {Main: own, Settings: commit},
		// A replaced module in someone else's checkout: the commit is theirs.
		unknownVersion: {Main: other, Deps: []*debug.Module{&own}, Settings: commit},
	} {
		if got := versionIn(info); got != want {
			t.Errorf("%+v is version %s, want %s", info, got, want)
		}
	}
	if Version() == "" {
		t.Error("this program has no version")
	}
}
