// Package rules holds keys to what the configuration says, whichever API makes or
// changes them: which models there are, which limits a key may have, and which it has
// if its maker names none.
//
// Limits travel as rows. A check names the field that is wrong in the object that was
// read, which is why it is handed both:
//
//	row := set.Bounds.Raise(set.DefaultRow())
//	limitsOf(object, &row)
//	set.CheckBounds(object, row)
package rules

import (
	"cmp"
	"slices"

	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// Limits of what is read, in bytes and entries. What a key may hold is for the ledger
// to say.
const (
	MaxName   = 256
	MaxModels = 1000
)

// Set is the rules of one configuration.
type Set struct {
	// Models are those that keys can be bound to and limited by. If there are none,
	// every model name is accepted.
	Models []Model
	// Bounds are what the limits of a whole key may be.
	Bounds limits.Bounds
	// Defaults are the limits of a new member key.
	Defaults limits.Row
}

// Model is a model that is served.
type Model struct {
	ID              string
	Name            string // for people; empty: ID
	Path            string // a second name; empty: none
	Description     string
	MaxOutputTokens int64
}

// Title is the model's name for people.
func (m *Model) Title() string {
	return cmp.Or(m.Name, m.ID)
}

// Split separates the row of the whole key from those of its models.
func Split(rows []limits.Row) (whole limits.Row, models []limits.Row) {
	for _, row := range rows {
		if row.Model == "" {
			whole = row
		} else {
			models = append(models, row)
		}
	}
	return whole, models
}

// DefaultRow is the row of a new member key.
func (s *Set) DefaultRow() limits.Row { return s.Defaults.For("") }

// CheckBounds refuses limits of a whole key that are out of bounds.
func (s *Set) CheckBounds(f *rest.Fields, row limits.Row) {
	for _, wrong := range s.Bounds.Check(&row) {
		f.Refuse(wrong.Field, "%s", wrong.Reason)
	}
}

// TokenType reads the type of tokens that a row counts.
func TokenType(f *rest.Fields, name string) limits.TokenType {
	read, _ := limits.ParseTokenType(f.Word(name, "total", limits.TokenTypeNames()...))
	return read
}

// CheckModel refuses models that are not served.
func (s *Set) CheckModel(f *rest.Fields, name, model string) {
	if model == "" {
		f.Refuse(name, "required")
	} else if !s.Serves(model) {
		f.Refuse(name, "no model %s", rest.Shown(model))
	}
}

// Serves reports whether a model is served. Without models, every one is.
func (s *Set) Serves(model string) bool { return len(s.Models) == 0 || s.Model(model) != nil }

// Model returns a model by its id, nil if there is none.
func (s *Set) Model(id string) *Model {
	at := slices.IndexFunc(s.Models, func(m Model) bool { return m.ID == id })
	if at < 0 {
		return nil
	}
	return &s.Models[at]
}

// ModelID returns the id of a model that is named by its id or by its path. A name
// that is neither is returned as it is.
func (s *Set) ModelID(name string) string {
	for i := range s.Models {
		if s.Models[i].Path == name && name != "" {
			return s.Models[i].ID
		}
	}
	return name
}
