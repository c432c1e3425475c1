package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/penstockhq/penstock/limits"
)

// keyFlags adds the flags that describe a key. It returns a function that makes a
// request's body of those that were given.
func keyFlags(flags *pflag.FlagSet) func(*pflag.FlagSet) (record, error) {
	limitValues := limitFlags(flags)
	tokenType := flags.String("token-type", "", "which tokens the token limits count: total, input or output")
	models := flags.StringSlice("model", nil, "model that the key may use; may be repeated (default: every model)")
	rows := flags.StringArray("model-limit", nil, "limits for one model, such as tiny:rpm=10,tpm=1000; may be repeated")
	budget := flags.String("budget", "", "credits that the key may spend in total, such as 12.5")
	expires := flags.String("expires", "",
		"when the key expires: a time such as 2030-01-31T12:00:00Z, or how long from now, such as 720h")
	permissions := flags.StringSlice("permission", nil,
		"class of paths that the key may use: inference, embeddings or rag; may be repeated (default: every class)")
	cidrs := flags.StringSlice("cidr", nil,
		"network that clients must be in, such as 10.0.0.0/8; may be repeated (default: any)")
	metadata := flags.StringToString("metadata", nil, "name=value to store with the key; may be repeated")
	return func(given *pflag.FlagSet) (record, error) {
		body, set := record{}, record{}
		for rule, value := range limitValues {
			if given.Changed(limitFlag(rule)) {
				set[rule.String()] = *value
			}
		}
		if *tokenType != "" {
			set["token_type"] = *tokenType
		}
		if len(set) > 0 {
			body["limits"] = set
		}
		for flag, member := range map[string]any{"model": *models, "permission": *permissions, "cidr": *cidrs} {
			if given.Changed(flag) {
				body[flag+"s"] = member
			}
		}
		if given.Changed("metadata") {
			body["metadata"] = *metadata
		}
		if *budget != "" {
			body["budget"] = *budget
		}
		if *expires != "" {
			body["expires_at"] = expiry(*expires, time.Now())
		}
		if len(*rows) == 0 {
			return body, nil
		}
		parsed, err := modelLimits(*rows)
		body["model_limits"] = parsed
		return body, err
	}
}

// limitFlags adds a flag for each rule of a row of limits.
func limitFlags(flags *pflag.FlagSet) map[limits.Rule]*int64 {
	values := make(map[limits.Rule]*int64, limits.Count)
	for _, rule := range limits.Rules() {
		counted, window := "requests", "in any 60 seconds"
		if rule.CountsTokens() {
			counted = "tokens"
		}
		if rule.PerDay() {
			window = "per day"
		}
		if rule == limits.MaxInFlight {
			counted, window = "calls", "running at the same time"
		}
		values[rule] = flags.Int64(limitFlag(rule), 0, "maximum "+counted+" "+window)
	}
	return values
}

// limitFlag returns the name of the flag of a rule.
func limitFlag(rule limits.Rule) string { return strings.ReplaceAll(rule.String(), "_", "-") }

// expiry turns a duration into a time. The administration judges any other text.
func expiry(text string, now time.Time) string {
	if wait, err := time.ParseDuration(text); err == nil {
		return now.Add(wait).UTC().Format(time.RFC3339)
	}
	return text
}

// modelLimits reads rows such as tiny:rpm=10,tpm=1000. Model names may contain
// colons.
func modelLimits(texts []string) ([]record, error) {
	rows := []record{}
	for _, text := range texts {
		at := strings.LastIndex(text, ":")
		if at < 1 {
			return nil, fmt.Errorf("--model-limit %q: expected MODEL:LIMIT=NUMBER, further limits after commas", text)
		}
		row := record{"model": text[:at]}
		for pair := range strings.SplitSeq(text[at+1:], ",") {
			name, value, _ := strings.Cut(pair, "=")
			if _, twice := row[name]; twice {
				return nil, fmt.Errorf("--model-limit %q: %s is given twice", text, name)
			}
			if name == "token_type" {
				row[name] = value
				continue
			}
			number, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("--model-limit %q: %q is not LIMIT=NUMBER", text, pair)
			}
			row[name] = number
		}
		rows = append(rows, row)
	}
	return rows, nil
}
