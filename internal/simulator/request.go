package simulator

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// blockTokens is the size of the blocks that engines cache prompts in.
const blockTokens = 64

// Segment is a part of a prompt that prompts share as a whole: a message, a document.
type Segment struct {
	ID     uint64
	Tokens int
	Role   string // system, user or assistant
}

// Request is one call.
type Request struct {
	Number  int
	Owner   string
	Session uint64
	Prompt  []Segment
	Tokens  int // of the prompt
	Output  int // tokens of the answer

	Arrived, First, Ended time.Duration
	Engine                int
	Cached                int // tokens of the prompt that the engine had

	blocks []uint64 // hashes of the prompt's whole blocks, each with all before it
	next   func(ended time.Duration)
	note   any // of the router
	router Router
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// blocksOf returns the hashes of the whole blocks of some segments.
func blocksOf(segments []Segment) []uint64 {
	var blocks []uint64
	hash, filled := uint64(1), 0
	for _, segment := range segments {
		for at := 0; at < segment.Tokens; {
			n := min(blockTokens-filled, segment.Tokens-at)
			hash = mix(hash ^ mix(segment.ID^uint64(at)<<40))
			at += n
			if filled += n; filled == blockTokens {
				blocks, filled = append(blocks, hash), 0
			}
		}
	}
	return blocks
}

// prepare fills in what follows from the prompt.
func (r *Request) prepare() {
	r.Tokens = 0
	for _, segment := range r.Prompt {
		r.Tokens += segment.Tokens
	}
	r.blocks = blocksOf(r.Prompt)
}

// filler is text without quotes or braces.
var filler = strings.Repeat("and so it goes with water at the gate ", 20_000)

// body returns the messages as a client sends them. The size of a segment is off by what a
// gateway that knows no tokenizer is off by.
func (r *Request) body(buffer []byte) []byte {
	buffer = append(buffer[:0], '[')
	for i, segment := range r.Prompt {
		if i > 0 {
			buffer = append(buffer, ',')
		}
		buffer = append(buffer, `{"role":"`...)
		buffer = append(buffer, segment.Role...)
		buffer = append(buffer, `","content":"`...)
		buffer = strconv.AppendUint(buffer, segment.ID, 36)
		size := int(float64(4*segment.Tokens)*math.Exp(tokenError*normalOf(segment.ID))) - 50
		buffer = append(buffer, filler[:max(0, min(size, len(filler)))]...)
		buffer = append(buffer, `"}`...)
	}
	return append(buffer, ']')
}

// tokenError is the deviation of the estimate of tokens, as a logarithm.
const tokenError = .15

// normalOf returns a normally distributed number that belongs to an id.
func normalOf(id uint64) float64 {
	one, two := mix(id), mix(id+1)
	u, v := (float64(one>>11)+.5)/(1<<53), float64(two>>11)/(1<<53)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}
