package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// keyFlags adds the flags that set up a key and returns what reads those that
// were given.
func keyFlags(flags *pflag.FlagSet) func(*pflag.FlagSet) (record, error) {
	limits := map[string]*int64{
		"rpm":           flags.Int64("rpm", 0, "requests in any 60 seconds"),
		"tpm":           flags.Int64("tpm", 0, "tokens in any 60 seconds"),
		"rpd":           flags.Int64("rpd", 0, "requests a day"),
		"tpd":           flags.Int64("tpd", 0, "tokens a day"),
		"max_in_flight": flags.Int64("max-in-flight", 0, "calls running at the same time"),
	}
	tokenType := flags.String("token-type", "", "tokens that the token limits count: total, input or output")
	models := flags.StringSlice("model", nil, "model that the key is bound to; may be repeated")
	rows := flags.StringArray("model-limit", nil, "limits for one model, such as tiny:rpm=10,tpm=1000; may be repeated")
	budget := flags.String("budget", "", "credits that the key may ever spend, such as 12.5")
	expires := flags.String("expires", "", "when the key expires, such as 2030-01-31T12:00:00Z, or in how long, such as 720h")
	scopes := flags.StringSlice("scope", nil, "paths that the key is limited to: inference, embeddings or rag; may be repeated")
	cidrs := flags.StringSlice("cidr", nil, "client network that the key is limited to; may be repeated")
	metadata := flags.StringToString("metadata", nil, "name=value to keep with the key; may be repeated")
	return func(given *pflag.FlagSet) (record, error) {
		body, set := record{}, record{}
		for name, value := range limits {
			if given.Changed(strings.ReplaceAll(name, "_", "-")) {
				set[name] = *value
			}
		}
		if *tokenType != "" {
			set["token_type"] = *tokenType
		}
		if len(set) > 0 {
			body["limits"] = set
		}
		for flag, member := range map[string]any{"model": *models, "scope": *scopes, "cidr": *cidrs} {
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

// expiry turns a wait into a time. What is no wait is for the administration to
// judge.
func expiry(text string, now time.Time) string {
	if wait, err := time.ParseDuration(text); err == nil {
		return now.Add(wait).UTC().Format(time.RFC3339)
	}
	return text
}

// modelLimits reads rows such as tiny:rpm=10,tpm=1000. Model names may hold
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
