// Package schema writes JSON schemas as Go literals: what requests may hold, and, from
// the types that are sent, what replies hold.
//
//	schema.Object(schema.Members{"name": schema.Text, "rpm": schema.Count}, "name")
//
// is an object with a required name and nothing but these two members.
package schema

import (
	"maps"
	"slices"
)

// MaxInteger is the largest number that JavaScript holds exactly.
const MaxInteger = 1<<53 - 1

// Schema is a JSON schema.
type Schema = map[string]any

// Members are the schemas of an object's members, or of parameters, by name.
type Members map[string]Schema

// Names returns the names in order.
func (m Members) Names() []string { return slices.Sorted(maps.Keys(m)) }

// With returns the members and some more.
func (m Members) With(more Members) Members {
	all := maps.Clone(m)
	maps.Copy(all, more)
	return all
}

// Schemas of values that many requests have. They are never changed.
var (
	Text    = Schema{"type": "string"}
	Texts   = Schema{"type": []string{"array", "null"}, "items": Text}
	Flag    = Schema{"type": "boolean"}
	Count   = Integer(0, MaxInteger)
	Day     = Schema{"type": "string", "format": "date"}
	Instant = Schema{"type": []string{"string", "null"}, "format": "date-time"}
	// Amount is an amount of credits.
	Amount = Schema{"anyOf": []any{
		Schema{"type": "string", "pattern": `^[0-9]+(\.[0-9]{1,6})?$`}, Schema{"type": "integer", "minimum": 0},
	}}
	// SignedAmount is an amount of credits that may be below zero.
	SignedAmount = Schema{"anyOf": []any{
		Schema{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]{1,6})?$`}, Schema{"type": "integer"},
	}}
)

// Integer describes a whole number from low to high.
func Integer(low, high int64) Schema {
	return Schema{"type": "integer", "minimum": low, "maximum": high}
}

// OneOf describes a string that is one of a few words.
func OneOf(words ...string) Schema { return Schema{"type": "string", "enum": words} }

// Nullable describes a value that may be null.
func Nullable(value Schema) Schema {
	return Schema{"anyOf": []any{value, Schema{"type": "null"}}}
}

// ArrayOf describes an array that may be null.
func ArrayOf(items Schema) Schema { return Schema{"type": []string{"array", "null"}, "items": items} }

// Object describes an object without other members than these.
func Object(members Members, required ...string) Schema {
	described := LooseObject(members, required...)
	described["additionalProperties"] = false
	return described
}

// LooseObject describes an object whose unknown members are ignored.
func LooseObject(members Members, required ...string) Schema {
	described := Schema{"type": "object", "properties": members}
	if len(required) > 0 {
		described["required"] = required
	}
	return described
}
