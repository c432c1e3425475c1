package prefix

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

const (
	// maxBoundaries is how many beginnings of one prompt are known. A longer prompt keeps
	// the first ones, which others share, and the last ones, where the next turn goes on.
	maxBoundaries = 64
	keptFirst     = 16
	keptLast      = maxBoundaries - keptFirst
	// piece is the size in bytes at which long messages and plain texts are cut.
	piece = 4 << 10
	// minSystem is the size in bytes from which the prompt of an application is worth a key.
	minSystem = 1 << 10
	// The effort to find messages: so many steps, and one more for each stepBytes bytes. A
	// prompt that takes more is cut into pieces from there on.
	freeSteps = 1 << 10
	stepBytes = 8
)

// Boundary is the end of a beginning of a prompt.
type Boundary struct {
	Hash uint64 // of everything up to here
	End  int32  // in bytes
	// Answer says that the part that ends here is a whole message of the model. The server
	// that answered the part before it has it in its cache too.
	Answer bool
}

// Chain is the beginnings of one prompt, shortest first. The zero Chain is ready for Read.
type Chain struct {
	// System stands for the prompt of an application, what comes before the first message of
	// its user. It is 0 if that is short or missing.
	System uint64
	// Root stands for a conversation: everything up to the end of its first message.
	Root uint64
	// SystemEnd and RootEnd are where those end, in bytes.
	SystemEnd, RootEnd int32
	// Bytes is the size of the prompt.
	Bytes int

	kept    [maxBoundaries]Boundary
	count   int // boundaries so far, also those that are no longer kept
	hash    uint64
	role    role // of the latest part
	opening bool // nothing but the system's part so far
	digest  xxhash.Digest
}

// Seed returns the hash that a chain begins with. Prompts of different models, and those of
// different salts, have nothing in common.
func Seed(seed uint64, model, salt string) uint64 {
	var digest xxhash.Digest
	digest.ResetWithSeed(seed)
	_, _ = digest.WriteString(model)
	_, _ = digest.Write([]byte{0})
	_, _ = digest.WriteString(salt)
	return digest.Sum64()
}

// Read cuts a prompt as it stands on the wire: messages, a text, or a text and messages. It
// cuts between objects of a list, which messages are, and some others with them. Where it
// cuts depends only on the bytes at that place, so that prompts that begin alike are cut alike.
func (c *Chain) Read(seed uint64, prompt []byte) {
	c.System, c.Root, c.SystemEnd, c.RootEnd = 0, 0, 0, 0
	c.Bytes, c.count, c.hash, c.role, c.opening = len(prompt), 0, seed, roleOther, true
	start, at := 0, 0
	if len(prompt) > 0 && prompt[0] == '"' { // Anthropic's system, before the messages; or a text
		if at = endOfString(prompt); at < len(prompt) {
			c.role = roleSystem
			c.cut(prompt, start, at)
			start = at
		}
	}
	for steps := 0; steps <= freeSteps+at/stepBytes; steps++ {
		i := bytes.IndexByte(prompt[at:], '}')
		if i < 0 {
			break
		}
		at += i + 1
		if next := nextObject(prompt, at); next > 0 {
			c.role = roleOf(prompt[start:at], c.role)
			c.cut(prompt, start, at)
			start, at = next, next
		}
	}
	end := len(prompt)
	for end > start && (isSpace(prompt[end-1]) || prompt[end-1] == ']') {
		end--
	}
	if end > start {
		c.role = roleOf(prompt[start:end], c.role)
		c.cut(prompt, start, end)
	}
}

// nextObject returns where the object begins that follows another one, which ends at an index,
// in a list. It is 0 if none follows. The end of a list is taken for one, if more follows.
func nextObject(text []byte, at int) int {
	next := skipSpace(text, at)
	switch {
	case next+1 >= len(text):
		return 0
	case text[next] == ']':
		if next = skipSpace(text, next+1); next >= len(text) || text[next] != ',' {
			return 0
		}
		if quote := skipSpace(text, next+1); quote >= len(text) || text[quote] != '"' {
			return 0
		}
		return at
	case text[next] != ',':
		return 0
	}
	if next = skipSpace(text, next+1); next >= len(text) || text[next] != '{' {
		return 0
	}
	// A quote in a string is escaped: what looks like an object and begins with a quote is one.
	if quote := skipSpace(text, next+1); quote >= len(text) || text[quote] != '"' {
		return 0
	}
	return next
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && isSpace(text[at]) {
		at++
	}
	return at
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// endOfString returns the index after the string that a text begins with.
func endOfString(text []byte) int {
	for at := 1; ; {
		i := bytes.IndexByte(text[at:], '"')
		if i < 0 {
			return len(text)
		}
		at += i + 1
		escaped := false
		for back := at - 2; text[back] == '\\'; back-- {
			escaped = !escaped
		}
		if !escaped {
			return at
		}
	}
}

// cut adds the boundary at the end of a part, and those inside it if it is long.
func (c *Chain) cut(prompt []byte, start, end int) {
	answer := c.role == roleAnswer && end-start <= piece
	for ; end-start > piece; start += piece {
		c.add(prompt[start:start+piece], start+piece, false)
	}
	c.add(prompt[start:end], end, answer)
	if c.opening && c.role != roleSystem {
		c.opening, c.Root, c.RootEnd = false, c.hash, int32(end)
	}
}

func (c *Chain) add(part []byte, end int, answer bool) {
	c.digest.ResetWithSeed(c.hash)
	_, _ = c.digest.Write(part)
	c.hash = c.digest.Sum64()
	*c.slot(c.count) = Boundary{Hash: c.hash, End: int32(end), Answer: answer}
	c.count++
	if c.opening && c.role == roleSystem && end >= minSystem {
		c.System, c.SystemEnd = c.hash, int32(end)
	}
}

// slot returns where the boundary of a number is kept.
func (c *Chain) slot(number int) *Boundary {
	if number >= keptFirst {
		number = keptFirst + (number-keptFirst)%keptLast
	}
	return &c.kept[number]
}

// Len returns how many boundaries are known.
func (c *Chain) Len() int { return min(c.count, maxBoundaries) }

// At returns the boundary of an index below Len, in the order of the prompt.
func (c *Chain) At(i int) Boundary {
	if i >= keptFirst && c.count > maxBoundaries {
		i += c.count - maxBoundaries
	}
	return *c.slot(i)
}

// role is who wrote a message.
type role uint8

const (
	roleOther role = iota
	roleSystem
	roleAnswer
)

// roleName precedes the name of the role in a message.
var roleName = []byte(`"role"`)

// roleOf returns the role that a message names at its beginning or its end. A part that names
// none goes on with what comes before it, if that is the system's.
func roleOf(message []byte, before role) role {
	edge := message[:min(len(message), 48)]
	i := bytes.Index(edge, roleName)
	if i < 0 {
		edge = message[max(0, len(message)-48):]
		if i = bytes.LastIndex(edge, roleName); i < 0 {
			if before == roleSystem {
				return roleSystem
			}
			return roleOther
		}
	}
	at := skipSpace(edge, i+len(roleName))
	if at < len(edge) && edge[at] == ':' {
		at = skipSpace(edge, at+1)
	}
	if at+1 >= len(edge) {
		return roleOther
	}
	switch edge[at+1] { // after the quote
	case 'a', 'm': // assistant, model
		return roleAnswer
	case 's', 'd': // system, developer
		return roleSystem
	}
	return roleOther
}
