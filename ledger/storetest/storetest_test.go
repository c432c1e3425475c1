package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// mistakes are stores with one mistake each, and the check that must find it.
var mistakes = []struct {
	name  string
	found string
	make  func(store sound, reopened bool) ledger.Store
}{
	{"drops the last entry of an append", "entries read back as written", func(s sound, _ bool) ledger.Store { return dropsLast{s} }},
	{"keeps a part of an append that failed", "an append is whole or not there", func(s sound, _ bool) ledger.Store { return keepsHalf{s} }},
	{"forgets a field of one kind", "entries read back as written", func(s sound, _ bool) ledger.Store { return forgetsDetail{s} }},
	{"makes several commits of one", "an append is whole or not there", func(s sound, _ bool) ledger.Store { return splitsCommits{s} }},
	{"appends after it has returned", "readers beside a writer", func(s sound, _ bool) ledger.Store { return appendsLater{s} }},
	{"accepts entries when closed", "nothing is written after closing", func(s sound, _ bool) ledger.Store { return writesClosed{s, new(bool)} }},
	{"ignores the limit", "entries of a page", func(s sound, _ bool) ledger.Store { return ignoresLimit{s} }},
	{"returns the entry at the start", "entries of a page", func(s sound, _ bool) ledger.Store { return includesAfter{s} }},
	{"returns entries newest first", "entries of a page", func(s sound, _ bool) ledger.Store { return newestFirst{s} }},
	{"replays from the start", "entries of a page", func(s sound, _ bool) ledger.Store { return replaysAll{s} }},
	{"replays on after an error", "a replay ends with its first error", func(s sound, _ bool) ledger.Store { return replaysOn{s} }},
	{"finds entries of other keys", "entries that match a query", func(s sound, _ bool) ledger.Store { return findsOther{s} }},
	{"counts the moment itself", "entries since a moment", func(s sound, _ bool) ledger.Store { return sinceIncludes{s} }},
	{"forgets snapshots when reopened", "snapshots read back as written", func(s sound, reopened bool) ledger.Store { return forgetsSnapshots{s, reopened} }},
	{"lists snapshots oldest first", "the newest snapshots are kept", func(s sound, _ bool) ledger.Store { return oldestFirst{s} }},
	{"saves what was not encoded", "a snapshot is whole or not there", func(s sound, _ bool) ledger.Store { return savesBroken{s} }},
	{"takes baselines for ordinary", "the newest snapshots are kept", func(s sound, _ bool) ledger.Store { return forgetsBaselines{s} }},
	{"cuts large snapshots", "snapshots read back as written", func(s sound, _ bool) ledger.Store { return cutsSnapshots{s} }},
	{"loses a row of usage", "usage that came with snapshots", func(s sound, _ bool) ledger.Store { return forgetsUsage{s} }},
	{"loses usage under a ledger", "a ledger on top", func(s sound, _ bool) ledger.Store { return forgetsUsage{s} }},
	{"ignores a day of a query", "usage that came with snapshots", func(s sound, _ bool) ledger.Store { return usageOfAll{s} }},
	{"prunes one too many", "pruned entries", func(s sound, _ bool) ledger.Store { return prunesMore{s} }},
	{"prunes one too few", "pruned entries", func(s sound, _ bool) ledger.Store { return prunesLess{s} }},
	{"has a constant head", "the head stands for all entries", func(s sound, _ bool) ledger.Store { return constantHead{s} }},
	{"has a head without a field", "the head stands for all entries", func(s sound, _ bool) ledger.Store { return headSkips{s} }},
	{"is always in place", "room and place", func(s sound, _ bool) ledger.Store { return alwaysInPlace{s} }},
	{"has no room", "room and place", func(s sound, _ bool) ledger.Store { return noRoom{s} }},
	{"rescues nothing", "a ledger is rescued", func(s sound, _ bool) ledger.Store { return rescuesNothing{s} }},
}

func TestEachMistakeIsFound(t *testing.T) {
	for _, mistake := range mistakes {
		t.Run(mistake.name, func(t *testing.T) {
			seen := map[string]bool{}
			open := func(t testing.TB, directory string) (ledger.Store, error) {
				store, err := sqlitestore.Open(t.Context(), directory)
				if err != nil {
					return nil, err
				}
				defer func() { seen[directory] = true }()
				return mistake.make(store, seen[directory]), nil
			}
			err := checkOf(t, mistake.found).run(t, open)
			if err == nil {
				t.Errorf("%q does not find it", mistake.found)
			}
			t.Log(err)
		})
	}
}

// shared opens a store that is open already as if nothing were the matter.
func TestAStoreWithoutALockIsFound(t *testing.T) {
	stores := map[string]ledger.Store{}
	open := func(t testing.TB, directory string) (ledger.Store, error) {
		if store, ok := stores[directory]; ok {
			return store, nil
		}
		store, err := sqlitestore.Open(t.Context(), directory)
		stores[directory] = store
		return store, err
	}
	if err := checkOf(t, "one open at a time").run(t, open); err == nil {
		t.Error("two were open")
	}
	other := func(testing.TB, string) (ledger.Store, error) { return nil, errors.New("it is taken") }
	if err := checkOf(t, "one open at a time").run(t, afterFirst(other)); err == nil || errors.Is(err, ledger.ErrLocked) {
		t.Errorf("another error than ErrLocked: %v", err)
	}
}

// afterFirst opens a store the first time, and then what next gives.
func afterFirst(next Open) Open {
	first := true
	return func(t testing.TB, directory string) (ledger.Store, error) {
		if first {
			first = false
			return sqlitestore.Open(t.Context(), directory)
		}
		return next(t, directory)
	}
}

func checkOf(t *testing.T, name string) *check {
	t.Helper()
	for i := range checks {
		if checks[i].name == name {
			return &checks[i]
		}
	}
	t.Fatalf("no check is called %q", name)
	return nil
}

// A field or kind that is added to entries must be in the specimens, too.
func TestTheSpecimensHaveAllThereIs(t *testing.T) {
	seen := map[string]bool{}
	var note func(path string, v reflect.Value)
	note = func(path string, v reflect.Value) {
		if v.Kind() == reflect.Struct && v.Type() == reflect.TypeFor[ledger.Quantity]() {
			for i := range v.NumField() {
				note(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		}
		seen[path] = seen[path] || !v.IsZero()
	}
	for _, e := range specimens() {
		seen[fmt.Sprint("kind ", e.Kind)] = true
		v := reflect.ValueOf(e)
		for i := range v.NumField() {
			note(v.Type().Field(i).Name, v.Field(i))
		}
	}
	for _, kind := range ledger.KindNames() {
		if !seen["kind "+kind] {
			t.Errorf("no entry is of kind %s", kind)
		}
	}
	fields := 0
	for field, set := range seen {
		if fields++; !set {
			t.Errorf("no entry has the field %s", field)
		}
	}
	// Each field but the number has a change of its own, and one is of a text's border.
	if changed := len(fieldChanges()) - 1; changed != fields-len(ledger.KindNames())-1 {
		t.Errorf("%d fields are changed for heads, of %d", changed, fields-len(ledger.KindNames())-1)
	}
}
