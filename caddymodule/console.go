package caddymodule

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/penstockhq/penstock/caddymodule/console"
)

func init() {
	caddycmd.RegisterCommand(console.Command())
}
