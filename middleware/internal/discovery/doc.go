// Package discovery shapes what clients read to find out which models there are: the
// list of OpenAI and Anthropic, and that of Ollama. It decides nothing: it is given the
// models that its reader may know of.
package discovery

// Model is a model as callers know it.
type Model struct {
	Name        string
	Description string // empty: nothing is said about it
}
