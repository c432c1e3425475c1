package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMissing is wrapped by the error of a metadata or tensor look-up when the
// file does not have the name at all, as opposed to having it with a wrong type.
var ErrMissing = errors.New("missing in the file")

// File is an open GGUF file. It may be read by many goroutines at once, until
// Close: then the memory of a mapped file is gone, and with it all tensor data.
type File struct {
	// Version is the version of the format, 2 or 3.
	Version uint32
	// Name is the base name of the file that Open read, empty after Parse.
	Name string

	keys    []string
	values  map[string]value
	tensors []Tensor
	byName  map[string]int
	unmap   func() error
}

// Tensor is a named array of numbers.
type Tensor struct {
	Name string
	Type Type
	// Shape lists the dimensions, the fastest-running first: a matrix that maps
	// vectors of n values to vectors of m values has the shape [n, m].
	Shape []int
	// Data holds the values in the file's own encoding, little-endian. It belongs
	// to the file and must not be written to.
	Data []byte
}

// Elements returns the number of values in the tensor.
func (t *Tensor) Elements() int {
	count := 1
	for _, dimension := range t.Shape {
		count *= dimension
	}
	return count
}

// value is a metadata value, still encoded. raw holds count values of the type
// kind; for strings each stands behind its length.
type value struct {
	kind  ValueType
	array bool
	count int
	raw   []byte
}

func (v value) describe() string {
	if v.array {
		return "array of " + v.kind.String()
	}
	return v.kind.String()
}

// Keys returns the metadata keys in the order of the file.
func (f *File) Keys() []string { return append([]string(nil), f.keys...) }

// Tensors returns all tensors in the order of the file. The slice is the file's.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor returns a tensor by name. The error wraps ErrMissing if there is none.
func (f *File) Tensor(name string) (*Tensor, error) {
	index, ok := f.byName[name]
	if !ok {
		return nil, fmt.Errorf("tensor %q: %w", name, ErrMissing)
	}
	return &f.tensors[index], nil
}

// Close releases the mapping of a file that Open mapped. Tensor data is invalid
// afterwards. Close may be called more than once.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	unmap := f.unmap
	f.unmap = nil
	f.values, f.tensors, f.byName, f.keys = nil, nil, nil, nil
	return unmap()
}

func (f *File) lookup(key, want string, array bool, accept func(ValueType) bool) (value, error) {
	v, ok := f.values[key]
	if !ok {
		return value{}, fmt.Errorf("metadata %q: %w", key, ErrMissing)
	}
	if v.array != array || !accept(v.kind) {
		return value{}, fmt.Errorf("metadata %q: is %s, want %s", key, v.describe(), want)
	}
	return v, nil
}

// Text returns a string from the metadata.
func (f *File) Text(key string) (string, error) {
	v, err := f.lookup(key, "string", false, isText)
	if err != nil {
		return "", err
	}
	return string(v.raw[8:]), nil
}

// Texts returns an array of strings from the metadata.
func (f *File) Texts(key string) ([]string, error) {
	v, err := f.lookup(key, "array of string", true, isText)
	if err != nil {
		return nil, err
	}
	texts := make([]string, v.count)
	raw := v.raw
	for i := range texts {
		// The parser has walked the array: every length fits.
		end := 8 + int(binary.LittleEndian.Uint64(raw))
		texts[i], raw = string(raw[8:end]), raw[end:]
	}
	return texts, nil
}

// Int returns a whole number of any width from the metadata.
func (f *File) Int(key string) (int64, error) {
	v, err := f.lookup(key, "a whole number", false, isWhole)
	if err != nil {
		return 0, err
	}
	if v.kind == Uint64Value && binary.LittleEndian.Uint64(v.raw) > math.MaxInt64 {
		return 0, fmt.Errorf("metadata %q: %d does not fit into 63 bits", key, binary.LittleEndian.Uint64(v.raw))
	}
	return whole(v.kind, v.raw), nil
}

// Ints returns an array of whole numbers from the metadata.
func (f *File) Ints(key string) ([]int64, error) {
	v, err := f.lookup(key, "array of whole numbers", true, isWhole)
	if err != nil {
		return nil, err
	}
	numbers := make([]int64, v.count)
	for i := range numbers {
		numbers[i] = whole(v.kind, v.raw[i*v.kind.size():])
	}
	return numbers, nil
}

// Float returns a number of any type from the metadata.
func (f *File) Float(key string) (float64, error) {
	v, err := f.lookup(key, "a number", false, isNumber)
	if err != nil {
		return 0, err
	}
	return number(v.kind, v.raw), nil
}

// Floats returns an array of numbers from the metadata.
func (f *File) Floats(key string) ([]float32, error) {
	v, err := f.lookup(key, "array of numbers", true, isNumber)
	if err != nil {
		return nil, err
	}
	numbers := make([]float32, v.count)
	for i := range numbers {
		numbers[i] = float32(number(v.kind, v.raw[i*v.kind.size():]))
	}
	return numbers, nil
}

// Length returns the length of an array in the metadata.
func (f *File) Length(key string) (int, error) {
	v, err := f.lookup(key, "an array", true, func(ValueType) bool { return true })
	return v.count, err
}

// Bool returns a boolean from the metadata.
func (f *File) Bool(key string) (bool, error) {
	v, err := f.lookup(key, "bool", false, func(k ValueType) bool { return k == BoolValue })
	if err != nil {
		return false, err
	}
	return v.raw[0] != 0, nil
}

func isText(k ValueType) bool { return k == StringValue }

func isWhole(k ValueType) bool {
	switch k {
	case StringValue, ArrayValue, BoolValue, Float32Value, Float64Value:
		return false
	}
	return true
}

func isNumber(k ValueType) bool {
	return isWhole(k) || k == Float32Value || k == Float64Value
}

func whole(kind ValueType, raw []byte) int64 {
	switch kind {
	case Uint8Value:
		return int64(raw[0])
	case Int8Value:
		return int64(int8(raw[0]))
	case Uint16Value:
		return int64(binary.LittleEndian.Uint16(raw))
	case Int16Value:
		return int64(int16(binary.LittleEndian.Uint16(raw)))
	case Uint32Value:
		return int64(binary.LittleEndian.Uint32(raw))
	case Int32Value:
		return int64(int32(binary.LittleEndian.Uint32(raw)))
	}
	return int64(binary.LittleEndian.Uint64(raw))
}

func number(kind ValueType, raw []byte) float64 {
	switch kind {
	case Float32Value:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	case Float64Value:
		return math.Float64frombits(binary.LittleEndian.Uint64(raw))
	case Uint64Value:
		return float64(binary.LittleEndian.Uint64(raw))
	}
	return float64(whole(kind, raw))
}
