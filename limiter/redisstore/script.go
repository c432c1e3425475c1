package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/clock.lua
var clockSource string

//go:embed scripts/counter.lua
var counterSource string

//go:embed scripts/admit.lua
var admitSource string

//go:embed scripts/settle.lua
var settleSource string

//go:embed scripts/inspect.lua
var inspectSource string

// script is a script and the digest that the server knows it by.
type script struct{ source, digest string }

func newScript(parts ...string) *script {
	s := new(script)
	for _, part := range parts {
		s.source += part + "\n"
	}
	sum := sha1.Sum([]byte(s.source)) // the name that Redis gives it, no secret
	s.digest = hex.EncodeToString(sum[:])
	return s
}

// scripts are all scripts of a store.
type scripts struct{ admit, settle, inspect *script }

// newScripts puts the scripts together with where they read the time.
func newScripts(clock string) scripts {
	return scripts{
		admit:   newScript(clock, counterSource, admitSource),
		settle:  newScript(clock, counterSource, settleSource),
		inspect: newScript(clock, inspectSource),
	}
}

// invocation is one call of a script.
type invocation struct {
	script    *script
	keys      []string
	arguments []any
}

func (i *invocation) command(ctx context.Context, whole bool) *redis.Cmd {
	name, text := "evalsha", i.script.digest
	if whole {
		name, text = "eval", i.script.source
	}
	arguments := make([]any, 0, 3+len(i.keys)+len(i.arguments))
	arguments = append(arguments, name, text, len(i.keys))
	for _, key := range i.keys {
		arguments = append(arguments, key)
	}
	command := redis.NewCmd(ctx, append(arguments, i.arguments...)...)
	command.SetFirstKeyPos(3)
	return command
}

// invoke calls scripts in one round trip, in their order, and returns a command for
// each. From the first one that the server does not know on they are sent once more as a
// whole, in the same order: those that have run act once, as their calls have ids.
func invoke(ctx context.Context, client redis.UniversalClient, invocations []*invocation) []*redis.Cmd {
	commands := send(ctx, client, invocations, false)
	for i, command := range commands {
		if isNoScript(command.Err()) {
			return append(commands[:i], send(ctx, client, invocations[i:], true)...)
		}
	}
	return commands
}

func send(ctx context.Context, client redis.UniversalClient, invocations []*invocation, whole bool) []*redis.Cmd {
	commands := make([]*redis.Cmd, len(invocations))
	for i := range invocations {
		commands[i] = invocations[i].command(ctx, whole)
	}
	switch len(commands) {
	case 0:
	case 1:
		_ = client.Process(ctx, commands[0]) // the command holds the error
	default:
		pipeline := client.Pipeline()
		for _, command := range commands {
			_ = pipeline.Process(ctx, command)
		}
		_, _ = pipeline.Exec(ctx) // each command holds its own
	}
	return commands
}
