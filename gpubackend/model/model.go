// Package model holds the demonstration model that a backend serves when no
// other file is named: a small Llama trained only on questions about Penstock.
// It shows that the whole path from key to charge works, with real sentences
// from real arithmetic, and is of no other use. MODEL_CARD.md has its data,
// training and scores.
package model

import _ "embed"

// Title is the model's name in the file (general.name). It says that the model
// is a demonstration; show it wherever the model appears.
const Title = "Penstock demonstration model"

// SHA256 is the hash of the embedded file in lower-case hexadecimal. The scores
// in MODEL_CARD.md are those of the file with this hash.
const SHA256 = "d4b8af8df3b33041a0c7989b0587d0d5f31d3f8d10f28b2845b644271c2daff3"

//go:embed demo.gguf
var file []byte

// File returns the GGUF file. The slice is shared by all callers: do not write
// to it.
func File() []byte { return file }
