package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

const writerAlignment = 32

// Writer collects metadata and tensors and writes them as a GGUF file, version 3.
type Writer struct {
	keys    map[string]bool
	entries bytes.Buffer
	tensors []Tensor
}

// NewWriter returns an empty Writer.
func NewWriter() *Writer { return &Writer{keys: make(map[string]bool)} }

// Set adds a metadata value: a string, bool, uint32, int32, uint64, int64,
// float32 or float64, or a slice of string, int32, uint32, float32 or bool.
func (w *Writer) Set(key string, v any) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("gguf: metadata key of %d bytes, want 1 to %d", len(key), maxKey)
	}
	if w.keys[key] {
		return fmt.Errorf("gguf: metadata %q set twice", key)
	}
	kind, raw, ok := encodeValue(v)
	if !ok {
		return fmt.Errorf("gguf: metadata %q: cannot write a %T", key, v)
	}
	w.keys[key] = true
	w.entries.Write(appendText(nil, key))
	w.entries.Write(binary.LittleEndian.AppendUint32(nil, uint32(kind)))
	w.entries.Write(raw)
	return nil
}

func appendText(raw []byte, text string) []byte {
	raw = binary.LittleEndian.AppendUint64(raw, uint64(len(text)))
	return append(raw, text...)
}

func encodeValue(v any) (ValueType, []byte, bool) {
	switch v := v.(type) {
	case []string:
		return encodeArray(StringValue, v)
	case []int32:
		return encodeArray(Int32Value, v)
	case []uint32:
		return encodeArray(Uint32Value, v)
	case []float32:
		return encodeArray(Float32Value, v)
	case []bool:
		return encodeArray(BoolValue, v)
	}
	return encodeScalar(v)
}

func encodeScalar(v any) (ValueType, []byte, bool) {
	order := binary.LittleEndian
	switch v := v.(type) {
	case string:
		return StringValue, appendText(nil, v), true
	case bool:
		if v {
			return BoolValue, []byte{1}, true
		}
		return BoolValue, []byte{0}, true
	case uint32:
		return Uint32Value, order.AppendUint32(nil, v), true
	case int32:
		return Int32Value, order.AppendUint32(nil, uint32(v)), true
	case uint64:
		return Uint64Value, order.AppendUint64(nil, v), true
	case int64:
		return Int64Value, order.AppendUint64(nil, uint64(v)), true
	case float32:
		return Float32Value, order.AppendUint32(nil, math.Float32bits(v)), true
	case float64:
		return Float64Value, order.AppendUint64(nil, math.Float64bits(v)), true
	}
	return 0, nil, false
}

func encodeArray[T any](kind ValueType, items []T) (ValueType, []byte, bool) {
	raw := binary.LittleEndian.AppendUint32(nil, uint32(kind))
	raw = binary.LittleEndian.AppendUint64(raw, uint64(len(items)))
	for _, item := range items {
		_, encoded, _ := encodeScalar(item)
		raw = append(raw, encoded...)
	}
	return ArrayValue, raw, true
}

// Add adds a tensor whose data is already encoded as kind. The shape's fastest
// dimension comes first. The data is kept, not copied, until WriteTo.
func (w *Writer) Add(name string, kind Type, shape []int, data []byte) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("gguf: tensor name of %d bytes, want 1 to %d", len(name), maxName)
	}
	if slices.ContainsFunc(w.tensors, func(t Tensor) bool { return t.Name == name }) {
		return fmt.Errorf("gguf: tensor %q added twice", name)
	}
	if len(shape) < 1 || len(shape) > maxDimensions || slices.Min(shape) < 1 {
		return fmt.Errorf("gguf: tensor %q: shape %v, want 1 to %d dimensions above zero", name, shape, maxDimensions)
	}
	tensor := Tensor{Name: name, Type: kind, Shape: slices.Clone(shape), Data: data}
	size, err := tensor.size(uint64(tensor.Elements()))
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	if uint64(len(data)) != size {
		return fmt.Errorf("gguf: tensor %q: %d bytes, but %s of shape %v takes %d", name, len(data), kind, shape, size)
	}
	w.tensors = append(w.tensors, tensor)
	return nil
}

// AddFloats encodes values as kind (see Encode) and adds them as a tensor.
func (w *Writer) AddFloats(name string, kind Type, shape []int, values []float32) error {
	data, err := Encode(kind, values)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	return w.Add(name, kind, shape, data)
}

// WriteTo writes the file.
func (w *Writer) WriteTo(out io.Writer) (int64, error) {
	order := binary.LittleEndian
	header := append([]byte("GGUF"), 3, 0, 0, 0)
	header = order.AppendUint64(header, uint64(len(w.tensors)))
	header = order.AppendUint64(header, uint64(len(w.keys)))
	header = append(header, w.entries.Bytes()...)
	offset := 0
	for _, tensor := range w.tensors {
		header = appendText(header, tensor.Name)
		header = order.AppendUint32(header, uint32(len(tensor.Shape)))
		for _, dimension := range tensor.Shape {
			header = order.AppendUint64(header, uint64(dimension))
		}
		header = order.AppendUint32(header, uint32(tensor.Type))
		header = order.AppendUint64(header, uint64(offset))
		offset += len(tensor.Data) + padding(len(tensor.Data))
	}
	header = append(header, make([]byte, padding(len(header)))...)
	count, err := out.Write(header)
	written := int64(count)
	for _, tensor := range w.tensors {
		if err != nil {
			return written, err
		}
		for _, part := range [][]byte{tensor.Data, make([]byte, padding(len(tensor.Data)))} {
			count, err = out.Write(part)
			written += int64(count)
			if err != nil {
				return written, err
			}
		}
	}
	return written, err
}

// Bytes returns the file.
func (w *Writer) Bytes() []byte {
	var file bytes.Buffer
	w.WriteTo(&file) // a Buffer takes everything
	return file.Bytes()
}

func padding(length int) int { return (writerAlignment - length%writerAlignment) % writerAlignment }
