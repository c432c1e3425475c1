// Package openapitest lints the OpenAPI document of the administration, generates a
// client from it, compiles that and runs it against a Caddy that was just built. The
// tests need node and npm; the tools' versions are pinned in package.json.
package openapitest
