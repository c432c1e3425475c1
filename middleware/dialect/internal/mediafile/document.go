package mediafile

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

const (
	// usualPageBytes and leastPageBytes are what a page of a document is likely to take,
	// and what it takes at least, where its pages cannot be counted.
	usualPageBytes = 16 << 10
	leastPageBytes = 1 << 10
	// maxPages bounds the pages that a document may claim to have.
	maxPages = 100_000
	// window is how much of a document is looked at at once.
	window = 48 << 10
	// ahead is how far behind a name what belongs to it may stand.
	ahead = 1 << 10
	// streamCost is what a compressed stream takes of the budget at least, in bytes.
	streamCost = 4 << 10
)

// Budget limits the work on the documents of one request: a few bytes may decompress to
// thousands of times as many. The zero Budget allows MaxInflated bytes.
type Budget struct{ used int }

// MaxInflated is how many bytes the compressed parts of all documents of a request are
// decompressed to. The pages of what lies beyond are estimated by its size.
const MaxInflated = 4 << 20

// Pages returns how many pages a document has, encoded as a data URL or in base64. Those
// of a PDF file are counted, whether its objects are compressed or not; where that is
// not possible, its size says how many there may be.
func (b *Budget) Pages(payload []byte) media.Range {
	size := int64(len(payload)) / 4 * 3
	guess := media.Range{Likely: size/usualPageBytes + 1, Most: size/leastPageBytes + 1}
	text, ok := content(payload)
	if !ok {
		return guess
	}
	text = bytes.TrimRight(text, "=")
	document := pdf{text: text, budget: *b}
	if !document.read() {
		letters, whole := plain(text)
		document = pdf{text: letters, budget: document.budget, hidden: !whole}
		if !document.read() {
			document.hidden = true
		}
	}
	*b = document.budget
	counted := min(max(document.pages, document.claimed), maxPages)
	if document.hidden || counted == 0 {
		return media.Range{Likely: max(guess.Likely, counted), Most: max(guess.Most, counted)}
	}
	return media.Exactly(counted)
}

// pdf counts the pages of a PDF file in one pass over it.
type pdf struct {
	text   []byte // base64 without padding
	budget Budget
	pages  int64 // objects that are pages
	// claimed is the largest number of pages that a node of the tree of pages names. A
	// page may hang in the tree more than once.
	claimed int64
	hidden  bool // there may be pages that were not counted

	inTree bool  // the object that is read is a node of the tree
	named  int64 // number that the object names before its type

	inflater io.ReadCloser
	buffered *bufio.Reader
}

// read looks at the whole file. It is false if the text is not plain base64.
func (p *pdf) read() bool {
	memory := make([]byte, window+ahead)
	kept, base := 0, 0 // bytes of memory that are still to be read, and where in the file they begin
	for at := 0; at < len(p.text); {
		take := min(window/3*4, len(p.text)-at)
		n, err := base64.RawStdEncoding.Decode(memory[kept:], p.text[at:at+take])
		if err != nil || n != base64.RawStdEncoding.DecodedLen(take) {
			return false
		}
		at += take
		kept += n
		done := p.scan(memory[:kept], at == len(p.text), base)
		base += done
		kept = copy(memory, memory[done:kept])
	}
	return true
}

// scan reads a part of a file, or of a compressed stream (whose base is negative), and
// returns how much of it need not be read again.
func (p *pdf) scan(part []byte, last bool, base int) int {
	from := 0
	for {
		found := bytes.Index(part[from:], []byte("/Type"))
		at, end := from+found, len(part)
		switch {
		case found < 0 && !last:
			at = max(from, len(part)-ahead)
		case found < 0:
			at = len(part)
		}
		p.counts(part[from:end], at-from)
		if found < 0 || !last && len(part)-at < ahead {
			return at
		}
		p.typed(part[at+len("/Type"):], base+at+len("/Type"), base < 0)
		from = at + len("/Type")
	}
}

// counts reads the numbers of pages that begin in the first bytes of a part.
func (p *pdf) counts(part []byte, first int) {
	for from := 0; from < first; {
		found := bytes.Index(part[from:min(first+len("/Count"), len(part))], []byte("/Count"))
		if found < 0 {
			return
		}
		from += found + len("/Count")
		var number int64
		for _, digit := range bytes.TrimLeft(part[from:min(from+ahead, len(part))], " \r\n\t") {
			if digit < '0' || digit > '9' || number > maxPages {
				break
			}
			number = number*10 + int64(digit-'0')
		}
		if p.inTree {
			p.claimed = max(p.claimed, number)
		} else {
			p.named = max(p.named, number)
		}
	}
}

// typed reads what follows a type: its name, and where it is that of a compressed
// stream of objects, the stream.
func (p *pdf) typed(rest []byte, at int, inStream bool) {
	name := bytes.TrimLeft(rest[:min(len(rest), ahead)], " \r\n\t")
	if len(name) == 0 || name[0] != '/' {
		return // a longer name than Type
	}
	p.inTree = false
	switch {
	case is(name, "/Pages"):
		p.inTree = true
		p.claimed = max(p.claimed, p.named)
	case is(name, "/Page"):
		p.pages++
	case is(name, "/ObjStm") && !inStream:
		stream := bytes.Index(name, []byte("stream"))
		if stream < 0 {
			p.hidden = true
			break
		}
		skipped := len(rest[:min(len(rest), ahead)]) - len(name) + stream + len("stream")
		for skipped < len(rest) && (rest[skipped] == '\r' || rest[skipped] == '\n') {
			skipped++
		}
		p.objects(at + skipped)
	}
	p.named = 0
}

// is says that a name of PDF, with what follows it, is this one.
func is(text []byte, name string) bool {
	if !bytes.HasPrefix(text, []byte(name)) {
		return false
	}
	if len(text) == len(name) {
		return true
	}
	next := text[len(name)]
	return next <= ' ' || bytes.IndexByte([]byte("()<>[]{}/%"), next) >= 0
}

// objects reads the compressed stream of objects that begins at a byte of the file.
func (p *pdf) objects(at int) {
	const header = 2 // bytes of zlib's, before the compressed data
	source := &letters{text: p.text, at: (at + header) / 3 * 4, skip: (at + header) % 3}
	if p.inflater == nil {
		p.buffered = bufio.NewReader(source)
		p.inflater = flate.NewReader(p.buffered)
	} else {
		p.buffered.Reset(source)
		_ = p.inflater.(flate.Resetter).Reset(p.buffered, nil) // never fails
	}
	outer := pdf{budget: Budget{p.budget.used + streamCost}, pages: p.pages, claimed: p.claimed}
	var memory [8 << 10]byte
	kept := 0
	for {
		if outer.budget.used >= MaxInflated {
			outer.hidden = true
			break
		}
		n, err := p.inflater.Read(memory[kept:])
		kept += n
		outer.budget.used += n
		done := outer.scan(memory[:kept], err != nil, -len(memory))
		kept = copy(memory[:], memory[done:kept])
		if err != nil {
			outer.hidden = err != io.EOF // damaged, encrypted, or compressed otherwise
			break
		}
	}
	p.pages, p.claimed, p.hidden, p.budget = outer.pages, outer.claimed, p.hidden || outer.hidden, outer.budget
}

// letters reads what a base64 text decodes to, from the middle.
type letters struct {
	text []byte
	at   int // of the next four letters
	skip int // bytes of those that are not wanted
}

// Read implements io.Reader.
func (l *letters) Read(b []byte) (int, error) {
	if l.at >= len(l.text) {
		return 0, io.EOF
	}
	take := min(max(len(b)/3, 1)*4, len(l.text)-l.at)
	n, err := base64.RawStdEncoding.Decode(b, l.text[l.at:l.at+take])
	l.at += take
	if l.skip > 0 {
		skipped := min(l.skip, n)
		n = copy(b, b[skipped:n])
		l.skip = 0
	}
	return n, err
}
