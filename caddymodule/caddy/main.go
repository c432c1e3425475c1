// Command caddy is stock Caddy with the Penstock modules compiled in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/penstockhq/penstock/caddymodule"
)

func main() {
	caddycmd.Main()
}
