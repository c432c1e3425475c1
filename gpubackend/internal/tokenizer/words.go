package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter cuts text into words, which it passes on in order and without gaps.
type splitter func(text string, word func(string))

// style is how a family of byte-level vocabularies was trained.
type style struct {
	split     splitter
	wholeWord bool
	addStart  bool
}

// styleOf returns the style that a file names in "tokenizer.ggml.pre". Files from
// before that key existed have no name.
func styleOf(name string) (style, bool) {
	switch name {
	case "gpt-2", "gpt2":
		return style{split: cutter(spacedWord)}, true
	case "llama-bpe", "llama3", "llama-v3":
		return style{split: cutter(markedWord(3)), wholeWord: true, addStart: true}, true
	case "qwen2", "deepseek-r1-qwen", "megrez":
		return style{split: cutter(markedWord(1))}, true
	case "smollm", "refact", "command-r", "codeshell":
		return style{split: apart(unicode.IsNumber, 1, cutter(spacedWord))}, true
	case "", "default":
		numbers := splitAgain(apart(unicode.IsNumber, 0, whole), apart(isDigit, 3, whole))
		return style{split: apart(isSymbol, 0, splitAgain(cutter(spacedWord), numbers))}, true
	}
	return style{}, false
}

func whole(text string, word func(string)) { word(text) }

// splitAgain cuts what first cuts once more.
func splitAgain(first, second splitter) splitter {
	return func(text string, word func(string)) {
		first(text, func(part string) { second(part, word) })
	}
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func isSymbol(r rune) bool { return unicode.IsPunct(r) || strings.ContainsRune("$+<=>^~|", r) }

// cutter cuts off what next measures until nothing is left.
func cutter(next func(text string) int) splitter {
	return func(text string, word func(string)) {
		for text != "" {
			size := next(text)
			word(text[:size])
			text = text[size:]
		}
	}
}

// apart passes on runs of characters of one class by themselves, at most limit
// characters each (0: any number), and hands what stands between them to rest.
// A limit above 1 takes only runs of exactly that length.
func apart(class func(rune) bool, limit int, rest splitter) splitter {
	return func(text string, word func(string)) {
		start := 0
		for i := 0; i < len(text); {
			size, count := run(text[i:], class, limit)
			if count == 0 || limit > 1 && count < limit {
				_, step := utf8.DecodeRuneInString(text[i:])
				i += max(step, size)
				continue
			}
			if start < i {
				rest(text[start:i], word)
			}
			word(text[i : i+size])
			i += size
			start = i
		}
		if start < len(text) {
			rest(text[start:], word)
		}
	}
}

// run measures the characters of a class at the start of text, at most limit of
// them unless limit is 0.
func run(text string, class func(rune) bool, limit int) (size, count int) {
	for size < len(text) && (limit == 0 || count < limit) {
		r, width := utf8.DecodeRuneInString(text[size:])
		if !class(r) {
			break
		}
		size += width
		count++
	}
	return size, count
}

func isOther(r rune) bool {
	return !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r)
}

func isLineEnd(r rune) bool { return r == '\r' || r == '\n' }

// contraction measures an apostrophe with one of the endings s t re ve m ll d.
func contraction(text string, anyCase bool) int {
	if text[0] != '\'' {
		return 0
	}
	for _, ending := range [...]string{"s", "t", "re", "ve", "m", "ll", "d"} {
		if len(text) <= len(ending) {
			continue
		}
		found := text[1 : 1+len(ending)]
		if found == ending || anyCase && strings.ToLower(found) == ending {
			return 1 + len(ending)
		}
	}
	return 0
}

// spacedWord measures the first word of text as GPT-2 does: letters, or digits,
// or other characters, each with at most one space before them.
func spacedWord(text string) int {
	if size := contraction(text, false); size > 0 {
		return size
	}
	space := 0
	if text[0] == ' ' {
		space = 1
	}
	for _, class := range [...]func(rune) bool{unicode.IsLetter, unicode.IsNumber, isOther} {
		if size, _ := run(text[space:], class, 0); size > 0 {
			return space + size
		}
	}
	return blank(text)
}

// markedWord measures the first word of text as Llama 3 and Qwen 2 do: letters
// with at most one other character before them, at most digits digits, other
// characters with the line ends behind them, blank lines.
func markedWord(digits int) func(string) int {
	return func(text string) int {
		if size := contraction(text, true); size > 0 {
			return size
		}
		first, width := utf8.DecodeRuneInString(text)
		mark := 0
		if !isLineEnd(first) && !unicode.IsLetter(first) && !unicode.IsNumber(first) {
			mark = width
		}
		if size, _ := run(text[mark:], unicode.IsLetter, 0); size > 0 {
			return mark + size
		}
		if size, _ := run(text, unicode.IsNumber, digits); size > 0 {
			return size
		}
		space := 0
		if first == ' ' {
			space = 1
		}
		if size, _ := run(text[space:], isOther, 0); size > 0 {
			lines, _ := run(text[space+size:], isLineEnd, 0)
			return space + size + lines
		}
		if size, _ := run(text, unicode.IsSpace, 0); size > 0 {
			if line := strings.LastIndexAny(text[:size], "\r\n"); line >= 0 {
				return line + 1
			}
		}
		return blank(text)
	}
}

// blank measures white space: all of it at the end of the text, otherwise all
// but the last character, which belongs to the word behind it.
func blank(text string) int {
	size, count := run(text, unicode.IsSpace, 0)
	if size < len(text) && count > 1 {
		_, last := utf8.DecodeLastRuneInString(text[:size])
		return size - last
	}
	return size
}
