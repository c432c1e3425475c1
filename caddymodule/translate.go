package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/penstockhq/penstock/middleware/translate"
)

// translateOff is the value of Gate.Translate that turns nothing.
const translateOff = "off"

// translateWords are the values of Gate.Translate.
func translateWords() []string { return append(translate.Names(), translateOff) }

// checkTranslate checks the values of Gate.Translate.
func checkTranslate(words []string) error {
	for i, word := range words {
		switch {
		case !slices.Contains(translateWords(), word):
			return fmt.Errorf("unknown value %s", suggest(word, translateWords()))
		case slices.Contains(words[:i], word):
			return fmt.Errorf("%s is already specified", word)
		}
	}
	if len(words) > 1 && slices.Contains(words, translateOff) {
		return errors.New("off stands alone")
	}
	return nil
}

// lacking returns what tells which APIs the upstreams of a model lack.
func (g *Gate) lacking() func(model string) translate.APIs {
	if len(g.Translate) == 0 {
		return g.app.lacking
	}
	fixed := translate.None
	for _, word := range g.Translate {
		fixed |= translate.Named(word)
	}
	return func(string) translate.APIs { return fixed }
}

// lacking returns the APIs that a kind of the upstreams lacks which may get the calls of a
// model. Which of them gets a call is not known before it is made up, and all of them have
// the chat API.
func (a *App) lacking(model string) (apis translate.APIs) {
	for _, policy := range a.policies {
		for i := range policy.Upstreams {
			if upstream := &policy.Upstreams[i]; upstream.Serves(model) {
				apis |= translate.Lacking(string(upstream.Kind))
			}
		}
	}
	return apis
}

func (g *Gate) unmarshalTranslate(d *caddyfile.Dispenser) error {
	g.Translate = d.RemainingArgs()
	if len(g.Translate) == 0 {
		return d.Errf("translate: expected off, or some of %s", strings.Join(translate.Names(), ", "))
	}
	if err := checkTranslate(g.Translate); err != nil {
		return d.Errf("translate: %w", err)
	}
	return nil
}
