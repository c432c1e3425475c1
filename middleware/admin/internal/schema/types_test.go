package schema

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// node has every kind of member that replies have.
type nodeView struct {
	Name   string            `json:"name"`
	At     time.Time         `json:"at"`
	Next   *nodeView         `json:"next,omitempty"`
	Labels map[string]string `json:"labels"`
	Any    any               `json:"any"`
	Hidden int
	inner
}

type inner struct {
	Counts []int64 `json:"counts"`
}

func TestATypeIsDescribedAsItIsEncoded(t *testing.T) {
	types := Types{Components: Schema{}, Prefix: "My"}
	if got := types.Of(reflect.TypeFor[[]nodeView]()); !reflect.DeepEqual(got, Schema{"type": "array", "items": Schema{"$ref": "#/components/schemas/MyNode"}}) {
		t.Errorf("%v", got)
	}
	encoded, err := json.Marshal(types.Components)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"MyNode":{"additionalProperties":false,"properties":{"any":{},"at":{"format":"date-time","type":"string"},` +
		`"counts":{"items":{"type":"integer"},"type":"array"},"labels":{"additionalProperties":{"type":"string"},"type":"object"},` +
		`"name":{"type":"string"},"next":{"anyOf":[{"$ref":"#/components/schemas/MyNode"},{"type":"null"}]}},` +
		`"required":["name","at","labels","any","counts"],"type":"object"}}`
	if string(encoded) != want {
		t.Errorf("%s, want %s", encoded, want)
	}
}

func TestMembersAreAddedToACopy(t *testing.T) {
	few := Members{"a": Text}
	more := few.With(Members{"b": Flag})
	if len(few) != 1 || len(more) != 2 || more.Names()[1] != "b" {
		t.Errorf("%v %v", few, more)
	}
}
