package redisstore

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnavailable is wrapped by the errors of calls that cannot be decided because Redis
// is away, or answers with an error.
var ErrUnavailable = errors.New("limits cannot be checked: redis is unavailable")

// ErrUnfit is wrapped by the error of Open for a server that cannot hold the counters as
// it is, or as the settings are.
var ErrUnfit = errors.New("redis cannot keep the limits")

// unavailable wraps an error of the client.
func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, explain(err)) }

// explanations say in plain words what some errors of a server mean for the operator.
var explanations = []struct{ text, meaning string }{
	{"WRONGPASS", "the username or the password is wrong"},
	{"NOAUTH", "the server asks for a password, and none is configured"},
	{"NOPERM", "the user lacks a right: it needs +@read +@write +@scripting +info +time on the keys of the prefix"},
	{"READONLY", "the server is a replica, which takes no writes"},
	{"OOM", "the server's memory is full"},
	{"MISCONF", "the server refuses writes, as it cannot save its data"},
	{"PENSTOCK_FOREIGN", "the prefix is in use by data of another program, or of another version"},
	{"WRONGTYPE", "the prefix is in use by data of another program, or of another version"},
	{"unknown command", "the server lacks a command; it must be Redis 6.2 or newer, or Valkey, with scripts allowed"},
}

// explain puts the plain words before an error that has some.
func explain(err error) error {
	for _, known := range explanations {
		if strings.Contains(err.Error(), known.text) {
			return fmt.Errorf("%s: %w", known.meaning, err)
		}
	}
	return err
}

// isNoScript reports whether the server does not know a script yet.
func isNoScript(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }

// foreign reports whether data of another program are where a counter should be.
func foreign(err error) bool {
	return errors.Is(err, ErrUnfit) || strings.Contains(err.Error(), "PENSTOCK_FOREIGN") || strings.Contains(err.Error(), "WRONGTYPE")
}
