// Package needs lets a test depend on a program that not every machine has.
// Such a test skips with the reason, unless PENSTOCK_REQUIRE names the program:
// then its absence is a failure, so that CI cannot pass by skipping.
package needs

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Program returns the path of the named program. If the program is not
// installed the test is skipped, or fails if the comma-separated environment
// variable PENSTOCK_REQUIRE contains the name.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Unavailable(t, name, err.Error())
	}
	return path
}

// Unavailable skips the test because what name stands for is not there, or
// fails it if PENSTOCK_REQUIRE contains name. It does not return.
func Unavailable(t testing.TB, name, reason string) {
	t.Helper()
	if Required(name) {
		t.Fatalf("PENSTOCK_REQUIRE demands %s: %s", name, reason)
	}
	t.Skipf("needs %s: %s", name, reason)
}

// Required reports whether PENSTOCK_REQUIRE contains name.
func Required(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("PENSTOCK_REQUIRE"), ","), name)
}
