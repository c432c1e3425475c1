package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
	"strings"
)

// Limits of the format, and of what any honest file needs.
const (
	maxKey        = 65535 // bytes of a metadata key, from the format
	maxName       = 64    // bytes of a tensor name, from the format
	maxDimensions = 4
	minEntry      = 8 + 4 + 1         // bytes that the smallest metadata entry takes
	minTensor     = 8 + 4 + 8 + 4 + 8 // bytes that the smallest tensor entry takes
	alignmentKey  = "general.alignment"
)

// Parse reads a file that lies in memory. The File refers to data, which must
// not change while the File is in use.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data}
	file := &File{}
	if err := r.parse(file); err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return file, nil
}

// reader walks over the bytes of a file. at never exceeds len(data).
type reader struct {
	data []byte
	at   int
}

func (r *reader) left() int { return len(r.data) - r.at }

func (r *reader) take(count int, what string) ([]byte, error) {
	if count < 0 || count > r.left() {
		return nil, fmt.Errorf("%s: needs %d bytes at offset %d, the file ends after %d", what, count, r.at, r.left())
	}
	taken := r.data[r.at : r.at+count : r.at+count]
	r.at += count
	return taken, nil
}

func (r *reader) uint32(what string) (uint32, error) {
	raw, err := r.take(4, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(raw), nil
}

func (r *reader) uint64(what string) (uint64, error) {
	raw, err := r.take(8, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(raw), nil
}

// count reads a number of things of which each takes at least size bytes of what
// is left of the file: a larger number is a lie, and is refused before any
// memory is asked for.
func (r *reader) count(what string, size int) (int, error) {
	number, err := r.uint64(what)
	if err != nil {
		return 0, err
	}
	if number > uint64(r.left()/size) {
		return 0, fmt.Errorf("%s: %d is more than the %d bytes left in the file can hold", what, number, r.left())
	}
	return int(number), nil
}

func (r *reader) text(what string, limit int) (string, error) {
	length, err := r.count("length of "+what, 1)
	if err != nil {
		return "", err
	}
	if length > limit {
		return "", fmt.Errorf("length of %s: %d is more than %d", what, length, limit)
	}
	raw, err := r.take(length, what)
	return string(raw), err
}

func (r *reader) parse(file *File) error {
	magic, err := r.take(4, "magic")
	if err != nil {
		return err
	}
	if string(magic) != "GGUF" {
		return fmt.Errorf("magic: %q is not %q", magic, "GGUF")
	}
	if file.Version, err = r.uint32("version"); err != nil {
		return err
	}
	if file.Version&0xffff == 0 && file.Version != 0 {
		return fmt.Errorf("version: %#x: big-endian files are not supported", file.Version)
	}
	if file.Version != 2 && file.Version != 3 {
		return fmt.Errorf("version: %d is not supported, only 2 and 3 are", file.Version)
	}
	tensors, err := r.count("tensor count", minTensor)
	if err != nil {
		return err
	}
	entries, err := r.count("metadata count", minEntry)
	if err != nil {
		return err
	}
	if err := r.metadata(file, entries); err != nil {
		return err
	}
	return r.tensors(file, tensors)
}

func (r *reader) metadata(file *File, entries int) error {
	file.values = make(map[string]value)
	for i := 0; i < entries; i++ {
		key, err := r.text(fmt.Sprintf("metadata key %d", i), maxKey)
		if err != nil {
			return err
		}
		if _, twice := file.values[key]; twice {
			return fmt.Errorf("metadata %q: occurs twice", key)
		}
		v, err := r.value(key)
		if err != nil {
			return err
		}
		file.values[key] = v
		file.keys = append(file.keys, key)
	}
	return nil
}

func (r *reader) value(key string) (value, error) {
	what := fmt.Sprintf("metadata %q", key)
	kind, err := r.uint32(what)
	if err != nil {
		return value{}, err
	}
	v := value{kind: ValueType(kind), count: 1}
	if v.kind == ArrayValue {
		if kind, err = r.uint32(what); err != nil {
			return value{}, err
		}
		v.array, v.kind = true, ValueType(kind)
		if v.kind == ArrayValue {
			return value{}, fmt.Errorf("%s: arrays of arrays are not supported", what)
		}
	}
	size := v.kind.size()
	if v.kind == StringValue {
		size = 8
	}
	if size == 0 {
		return value{}, fmt.Errorf("%s: unknown %s", what, v.kind)
	}
	if v.array {
		if v.count, err = r.count("length of "+what, size); err != nil {
			return value{}, err
		}
	}
	v.raw, err = r.raw(what, v)
	return v, err
}

// raw steps over the bytes of a value.
func (r *reader) raw(what string, v value) ([]byte, error) {
	if v.kind != StringValue {
		return r.take(v.count*v.kind.size(), what)
	}
	start := r.at
	for range v.count {
		length, err := r.count("length of a string in "+what, 1)
		if err != nil {
			return nil, err
		}
		r.at += length
	}
	return r.data[start:r.at:r.at], nil
}

// place is where a tensor's bytes stand, relative to the start of the data.
type place struct {
	offset uint64
	size   uint64
	index  int
}

func (r *reader) tensors(file *File, count int) error {
	alignment, err := file.alignment()
	if err != nil {
		return err
	}
	file.byName = make(map[string]int)
	var places []place
	for i := 0; i < count; i++ {
		tensor, where, err := r.tensor(i)
		if err != nil {
			return err
		}
		if _, twice := file.byName[tensor.Name]; twice {
			return fmt.Errorf("tensor %q: occurs twice", tensor.Name)
		}
		if where.offset%alignment != 0 {
			return fmt.Errorf("tensor %q: offset %d is not a multiple of the alignment %d", tensor.Name, where.offset, alignment)
		}
		file.byName[tensor.Name] = i
		file.tensors = append(file.tensors, tensor)
		places = append(places, where)
	}
	start := (uint64(r.at) + alignment - 1) / alignment * alignment
	if count > 0 && start > uint64(len(r.data)) {
		return fmt.Errorf("tensor data: starts at %d, the file has %d bytes", start, len(r.data))
	}
	return r.assign(file, places, start)
}

// assign gives every tensor its bytes. Tensors may not share bytes: if they
// could, a small file could describe a model of any size.
func (r *reader) assign(file *File, places []place, start uint64) error {
	sort.Slice(places, func(a, b int) bool { return places[a].offset < places[b].offset })
	var end uint64
	for i, where := range places {
		tensor := &file.tensors[where.index]
		available := uint64(len(r.data)) - start
		if where.offset > available || where.size > available-where.offset {
			return fmt.Errorf("tensor %q: %d bytes at offset %d go beyond the %d bytes of tensor data in the file",
				tensor.Name, where.size, where.offset, available)
		}
		if where.offset < end {
			return fmt.Errorf("tensor %q: offset %d lies inside tensor %q, which ends at %d",
				tensor.Name, where.offset, file.tensors[places[i-1].index].Name, end)
		}
		end = where.offset + where.size
		tensor.Data = r.data[start+where.offset : start+end : start+end]
	}
	return nil
}

func (f *File) alignment() (uint64, error) {
	if _, ok := f.values[alignmentKey]; !ok {
		return 32, nil
	}
	alignment, err := f.Int(alignmentKey)
	if err != nil {
		return 0, err
	}
	if alignment < 8 || alignment > 1<<20 || alignment&(alignment-1) != 0 {
		return 0, fmt.Errorf("metadata %q: %d is not a power of two from 8 to %d", alignmentKey, alignment, 1<<20)
	}
	return uint64(alignment), nil
}

func (r *reader) tensor(index int) (Tensor, place, error) {
	none := Tensor{}
	name, err := r.text(fmt.Sprintf("name of tensor %d", index), maxName)
	if err != nil {
		return none, place{}, err
	}
	what := fmt.Sprintf("tensor %q", name)
	dimensions, err := r.uint32(what)
	if err != nil {
		return none, place{}, err
	}
	if dimensions < 1 || dimensions > maxDimensions {
		return none, place{}, fmt.Errorf("%s: %d dimensions, want 1 to %d", what, dimensions, maxDimensions)
	}
	tensor := Tensor{Name: strings.Clone(name), Shape: make([]int, dimensions)}
	elements := uint64(1)
	for i := range tensor.Shape {
		dimension, err := r.uint64(what)
		if err != nil {
			return none, place{}, err
		}
		if dimension == 0 || dimension > math.MaxInt64/64/elements {
			return none, place{}, fmt.Errorf("%s: dimension %d is %d, which is zero or too large", what, i, dimension)
		}
		elements *= dimension
		tensor.Shape[i] = int(dimension)
	}
	kind, err := r.uint32(what)
	if err != nil {
		return none, place{}, err
	}
	tensor.Type = Type(kind)
	offset, err := r.uint64(what)
	if err != nil {
		return none, place{}, err
	}
	size, err := tensor.size(elements)
	return tensor, place{offset: offset, size: size, index: index}, err
}

// size returns the bytes of a tensor whose dimensions multiply to elements. The
// caller has made sure that elements*64 fits into 63 bits, and no type takes
// more than 8 bytes for a value.
func (t *Tensor) size(elements uint64) (uint64, error) {
	known, ok := t.Type.layout()
	if !ok {
		return 0, fmt.Errorf("tensor %q: %s is not supported", t.Name, t.Type)
	}
	if t.Shape[0]%known.elements != 0 {
		return 0, fmt.Errorf("tensor %q: rows of %d values do not divide into blocks of %d, as %s needs",
			t.Name, t.Shape[0], known.elements, t.Type)
	}
	return elements / uint64(known.elements) * uint64(known.size), nil
}
