package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/internal/edits"
)

// keyID returns the id of the key that a person names by its id or by its name. What
// was typed is in no error: it may be the text of a key.
func keyID(ctx context.Context, api *client, named string) (string, error) {
	return find(ctx, api, "key", keysPath, named, func(key record) bool { return key.text("state") != "revoked" })
}

// accountID is keyID for accounts.
func accountID(ctx context.Context, api *client, named string) (string, error) {
	return find(ctx, api, "account", accountsPath, named, func(record) bool { return true })
}

// setID makes a filter of a query an id where a person gave a name.
func setID(ctx context.Context, api *client, query url.Values, filter string, idOf func(context.Context, *client, string) (string, error)) error {
	if !query.Has(filter) {
		return nil
	}
	id, err := idOf(ctx, api, query.Get(filter))
	if err == nil {
		query.Set(filter, id)
	}
	return err
}

// setOwner names the account that pays for a new key, where a person gave one. One that does
// not exist is made with the key, so that what was typed is its id then.
func setOwner(ctx context.Context, api *client, key record, named string) error {
	if named == "" {
		return nil
	}
	id, err := accountID(ctx, api, named)
	if errors.Is(err, errNothingNamed) {
		id, err = named, nil
	}
	if err == nil {
		key["owner"] = id
	}
	return err
}

// errNothingNamed says that nothing has the id or name that was typed.
var errNothingNamed = errors.New("has this id or name")

// find returns the id of the thing below a path that has an id or name. counts says
// which things may be meant by their name.
func find(ctx context.Context, api *client, kind, path, named string, counts func(record) bool) (string, error) {
	var thing record
	err := api.call(ctx, "GET", path+"/"+url.PathEscape(named), nil, &thing)
	if err == nil {
		return thing.text("id"), nil
	}
	if !isNotFound(err) {
		return "", err
	}
	things, err := api.list(ctx, path, url.Values{}, 0)
	if err != nil {
		return "", err
	}
	return pick(kind, named, things, counts)
}

// isNotFound reports whether the administration has nothing under an id.
func isNotFound(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == http.StatusNotFound
}

// pick returns the id of the one thing that has a name, or says which come near.
func pick(kind, named string, things []record, counts func(record) bool) (string, error) {
	var ids, near []string
	for _, thing := range things {
		id, name := thing.text("id"), thing.text("name")
		switch {
		case !counts(thing):
		case name == named:
			ids = append(ids, id)
		case resembles(named, id):
			near = append(near, id)
		case resembles(named, name):
			near = append(near, name)
		}
	}
	switch {
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) > 1:
		return "", fmt.Errorf("%d %ss have this name, name one by its id: %s", len(ids), kind, strings.Join(ids[:min(len(ids), 10)], ", "))
	case len(near) > 0:
		return "", fmt.Errorf("no %s %w; did you mean %s?", kind, errNothingNamed, strings.Join(near[:min(len(near), 3)], ", "))
	default:
		return "", fmt.Errorf("no %s %w", kind, errNothingNamed)
	}
}

// resembles reports whether two words are at most two letters apart, and not all of
// their letters.
func resembles(a, b string) bool {
	if len(a) > 64 || len(b) > 64 || len(a) < 3 || len(b) < 3 {
		return false
	}
	return edits.Distance(a, b) <= 2
}

// only refuses arguments of a command that has none, and names the subcommands that
// what was typed resembles.
func only(cmd *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	problem := fmt.Sprintf("unknown command %q for %q", arguments[0], cmd.CommandPath())
	var near []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && (resembles(arguments[0], sub.Name()) || strings.HasPrefix(sub.Name(), arguments[0])) {
			near = append(near, sub.Name())
		}
	}
	if len(near) > 0 {
		problem += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(problem)
}
