package dialect

import (
	"strings"
	"testing"
)

func TestEverySpecIsWhole(t *testing.T) {
	for _, spec := range append([]*Spec{&sglangSpec}, specs...) {
		if spec.Class == "" || spec.Method == "" || len(spec.Paths) == 0 && spec != &sglangSpec {
			t.Errorf("%s: class %q, method %q, paths %q", spec.Dialect, spec.Class, spec.Method, spec.Paths)
		}
		sends := spec.Handling == SendCall || spec.Handling == StartRun || spec.Handling == CountTokens
		if sends != (spec.Permission != "") {
			t.Errorf("%s %s: permission %q", spec.Dialect, spec.Class, spec.Permission)
		}
		if sends && !spec.NoOutput && spec.Makes == MakesText && !spec.Form && spec.request.cap.name == "" {
			t.Errorf("%s %s: nothing caps its output", spec.Dialect, spec.Class)
		}
		if within := spec.request.cap.within; within != memberNone && memberByName([]byte(memberNames[within])) != within {
			t.Errorf("%s %s: the object of the cap is not read", spec.Dialect, spec.Class)
		}
		for _, path := range spec.Paths {
			if strings.HasSuffix(path, "/") {
				path += "target"
			}
			if route, ok := Classify(spec.Method, path); !ok || route.Spec != spec {
				t.Errorf("%s is not known as %s %s", path, spec.Dialect, spec.Class)
			}
			if NameOf(path) != spec.Dialect {
				t.Errorf("%s is taken for %s", path, NameOf(path))
			}
		}
	}
}
