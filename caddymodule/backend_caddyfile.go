package caddymodule

import (
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("penstock_backend", parseBackend)
	httpcaddyfile.RegisterDirectiveOrder("penstock_backend", httpcaddyfile.Before, "reverse_proxy")
}

func parseBackend(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	backend := new(Backend)
	return backend, backend.UnmarshalCaddyfile(h.Dispenser)
}

// backendOptions are the readers of the backend's options.
var backendOptions = map[string]func(*Backend, *caddyfile.Dispenser) error{
	"model_file":    func(b *Backend, d *caddyfile.Dispenser) error { return oneArgument(d, &b.ModelFile) },
	"model_name":    (*Backend).unmarshalModelNames,
	"device":        func(b *Backend, d *caddyfile.Dispenser) error { return oneOf(d, &b.Device, devices...) },
	"slots":         func(b *Backend, d *caddyfile.Dispenser) error { return oneWhole(d, &b.Slots) },
	"queue":         (*Backend).unmarshalQueue,
	"context":       func(b *Backend, d *caddyfile.Dispenser) error { return oneWhole(d, &b.Context) },
	"step_tokens":   func(b *Backend, d *caddyfile.Dispenser) error { return oneWhole(d, &b.StepTokens) },
	"threads":       func(b *Backend, d *caddyfile.Dispenser) error { return oneWhole(d, &b.Threads) },
	"max_body":      func(b *Backend, d *caddyfile.Dispenser) error { return oneSize(d, &b.MaxBody) },
	"write_timeout": func(b *Backend, d *caddyfile.Dispenser) error { return oneDuration(d, &b.WriteTimeout) },
	"vllm_metrics":  func(b *Backend, d *caddyfile.Dispenser) error { b.VLLMMetrics = true; return noArgument(d) },
}

// UnmarshalCaddyfile sets up the backend from Caddyfile tokens. Syntax:
//
//	penstock_backend [<matcher>] {
//	    model_file    <path>
//	    model_name    <names...>
//	    device        auto|cpu
//	    slots         <requests>
//	    queue         <requests> [<wait>]
//	    context       <tokens>
//	    step_tokens   <tokens>
//	    threads       <threads>
//	    max_body      <size>
//	    write_timeout <duration>
//	    vllm_metrics
//	}
func (b *Backend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if d.NextArg() {
		return d.Errf("penstock_backend: unexpected argument %q", d.Val())
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		read, known := backendOptions[option]
		if !known {
			return unknown(d, "option of penstock_backend", slices.Sorted(maps.Keys(backendOptions)))
		}
		if seen[option] {
			return d.Errf("%s is already specified", option)
		}
		seen[option] = true
		if err := read(b, d); err != nil {
			return err
		}
		if d.NextBlock(1) {
			return d.Errf("%s takes no block", option)
		}
	}
	return nil
}

func (b *Backend) unmarshalModelNames(d *caddyfile.Dispenser) error {
	if b.ModelNames = d.RemainingArgs(); len(b.ModelNames) == 0 {
		return d.ArgErr()
	}
	if err := checkNames(b.ModelNames); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (b *Backend) unmarshalQueue(d *caddyfile.Dispenser) error {
	arguments := d.RemainingArgs()
	if len(arguments) < 1 || len(arguments) > 2 {
		return d.Errf("queue: expected how many requests may wait and for how long, for example: queue 64 30s")
	}
	var depth int64
	if err := parseWhole(d, "queue", arguments[0], 0, &depth); err != nil {
		return err
	}
	waiting := int(depth)
	b.QueueDepth = &waiting
	if len(arguments) == 2 {
		return parseDuration(d, "queue", arguments[1], &b.QueueWait)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Backend)(nil)
