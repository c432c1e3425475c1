// Package engine schedules generation on a Runner: continuous batching, paged
// KV cache, sampling. It knows neither HTTP nor a device.
package engine

import "time"

// PageSize is the number of positions that one page of the KV cache holds.
const PageSize = 16

// Info describes a loaded model and the device that runs it.
type Info struct {
	Model         string // name from the file, else the file's base name
	Architecture  string // llama, qwen2 or qwen3
	Device        string // for example "cpu (avx512_vnni, 2 threads)"
	Vocabulary    int    // tokens in the vocabulary: the length of a row of logits
	Context       int    // longest sequence in tokens, prompt and answer together
	Embedding     int    // width of the hidden state
	Parameters    int64
	WeightBytes   int64
	Demonstration bool // the file says that its answers are only a demonstration
}

// KVInfo describes the paged KV cache that a Runner owns.
type KVInfo struct {
	Pages    int // pages in all; page ids run from 0 to Pages-1
	PageSize int // positions a page, equal to the constant PageSize
	Bytes    int64
}

// Row is one token of a Batch.
type Row struct {
	Token    int32
	Position int32 // in its sequence, from 0
	Sequence int32 // index into Batch.Tables
}

// Batch is one ragged step: prefill and decode rows of many sequences together.
// Rows of one sequence stand in ascending position. A row attends to all
// positions up to its own of the same sequence, those of this batch included.
type Batch struct {
	Rows []Row
	// Tables holds, for each sequence, the ids of its KV pages in order: position
	// p lives in Tables[sequence][p/PageSize] at p%PageSize.
	Tables [][]int32
	// Logits lists the rows whose logits are wanted.
	Logits []int32
	// Hidden lists the rows whose final hidden state (after the last norm) is wanted.
	Hidden []int32

	// LogitsOut[i] receives the Info.Vocabulary logits of row Logits[i].
	// HiddenOut[i] receives the Info.Embedding values of row Hidden[i].
	// The caller provides the slices; Forward fills them.
	LogitsOut [][]float32
	HiddenOut [][]float32
}

// Timing says what a step cost.
type Timing struct {
	Busy time.Duration // device time of the step
}

// Runner executes forward passes. Its methods are called by one goroutine at a
// time; Info and KV may be called at any time.
type Runner interface {
	Info() Info
	// Forward runs one step. After an error the KV contents of the sequences in
	// the batch are undefined; other sequences are untouched.
	Forward(batch *Batch) (Timing, error)
	KV() KVInfo
	Close() error
}

// Tokenizer turns text into token ids and back. It is safe for concurrent use.
type Tokenizer interface {
	// Encode returns the ids of text. With special, control tokens such as
	// <|im_end|> in the text are recognised; without, they are plain text, so that
	// a caller's text cannot forge them. Invalid UTF-8 is encoded byte by byte.
	Encode(text string, special bool) []int32
	// Start returns the ids that stand before every prompt of the model, often one
	// or none. Encode does not add them; Chat does.
	Start() []int32
	// Piece returns the bytes that a token stands for; control tokens have none.
	// A multi-byte character may be spread over several tokens.
	Piece(id int32) []byte
	// IsEnd reports whether a token ends the generation.
	IsEnd(id int32) bool
	// Chat returns the ids of a conversation in the model's chat template, ready
	// for the assistant's answer. It is an error if the file has no known template.
	Chat(messages []Message) ([]int32, error)
}

// Message is one turn of a conversation.
type Message struct {
	Role    string // system, user or assistant
	Content string
}
