package ledger

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// encoder writes a snapshot: numbers as varints, texts with their length before
// them. The first error sticks.
type encoder struct {
	w      *bufio.Writer
	models map[string]uint64
	err    error
}

func newEncoder(w io.Writer) *encoder {
	return &encoder{w: bufio.NewWriterSize(w, 1<<14), models: map[string]uint64{}}
}

func (e *encoder) raw(data []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(data)
	}
}

func (e *encoder) unsigned(value uint64) {
	e.raw(binary.AppendUvarint(e.w.AvailableBuffer(), value))
}

func (e *encoder) number(value int64) {
	e.raw(binary.AppendVarint(e.w.AvailableBuffer(), value))
}

func (e *encoder) text(text string) {
	e.unsigned(uint64(len(text)))
	if e.err == nil {
		_, e.err = e.w.WriteString(text)
	}
}

// model writes a model's name the first time and its number after that. Numbers
// follow the order of writing, not that of the running process, so that the same
// state is always the same bytes.
func (e *encoder) model(name string) {
	if number, ok := e.models[name]; ok {
		e.unsigned(number)
		return
	}
	e.unsigned(0)
	e.text(name)
	e.models[name] = uint64(len(e.models) + 1)
}

func (e *encoder) finish() error {
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.err
}

// decoder reads what an encoder wrote. The first error sticks; all values are zero
// after it.
type decoder struct {
	r      *bufio.Reader
	models []string
	err    error
}

func newDecoder(r io.Reader) *decoder { return &decoder{r: bufio.NewReaderSize(r, 1<<14)} }

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
}

func (d *decoder) unsigned() uint64 {
	if d.err != nil {
		return 0
	}
	value, err := binary.ReadUvarint(d.r)
	if err != nil {
		d.fail(err)
	}
	return value
}

func (d *decoder) number() int64 {
	if d.err != nil {
		return 0
	}
	value, err := binary.ReadVarint(d.r)
	if err != nil {
		d.fail(err)
	}
	return value
}

// count reads how many items follow. A damaged count must not make us allocate
// without bound, so callers grow their slices by appending.
func (d *decoder) count() int {
	const most = 1 << 31
	value := d.unsigned()
	if value > most {
		d.fail(fmt.Errorf("%d items", value))
		return 0
	}
	return int(value)
}

func (d *decoder) raw(target []byte) {
	if d.err != nil {
		return
	}
	if _, err := io.ReadFull(d.r, target); err != nil {
		d.fail(err)
	}
}

func (d *decoder) text() string {
	const longest = 1 << 24
	length := d.unsigned()
	if length > longest {
		d.fail(fmt.Errorf("text of %d bytes", length))
	}
	if d.err != nil {
		return ""
	}
	data := make([]byte, length)
	d.raw(data)
	return string(data)
}

func (d *decoder) model() string {
	number := d.unsigned()
	if number == 0 {
		name := d.text()
		d.models = append(d.models, name)
		return name
	}
	if number > uint64(len(d.models)) {
		d.fail(fmt.Errorf("model %d of %d", number, len(d.models)))
		return ""
	}
	return d.models[number-1]
}
