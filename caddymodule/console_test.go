package caddymodule

import (
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

func TestTheCommandLineIsRegistered(t *testing.T) {
	if _, registered := caddycmd.Commands()["penstock"]; !registered {
		t.Error("importing the package registers no command penstock")
	}
}
