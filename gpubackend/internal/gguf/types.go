// Package gguf reads and writes GGUF model files: typed metadata and tensors.
// It trusts nothing in a file. Every count, length and offset is checked against
// the bytes that are there before anything is allocated or read, so that a
// truncated or hostile file is an error that names the field, never a panic.
package gguf

import "fmt"

// Type is the storage format of a tensor. The numbers are those of the format.
type Type uint32

// The tensor types of the GGUF format.
const (
	F32    Type = 0
	F16    Type = 1
	Q4_0   Type = 2
	Q4_1   Type = 3
	Q5_0   Type = 6
	Q5_1   Type = 7
	Q8_0   Type = 8
	Q8_1   Type = 9
	Q2_K   Type = 10
	Q3_K   Type = 11
	Q4_K   Type = 12
	Q5_K   Type = 13
	Q6_K   Type = 14
	Q8_K   Type = 15
	IQ4_NL Type = 20
	IQ4_XS Type = 23
	I8     Type = 24
	I16    Type = 25
	I32    Type = 26
	I64    Type = 27
	F64    Type = 28
	BF16   Type = 30
	TQ1_0  Type = 34
	TQ2_0  Type = 35
	MXFP4  Type = 39
)

// layout says how a type stores numbers: blocks of elements values in size bytes.
type layout struct {
	name     string
	elements int
	size     int
}

func (t Type) layout() (layout, bool) {
	switch t {
	case F32:
		return layout{"F32", 1, 4}, true
	case F16:
		return layout{"F16", 1, 2}, true
	case BF16:
		return layout{"BF16", 1, 2}, true
	case F64:
		return layout{"F64", 1, 8}, true
	case I8:
		return layout{"I8", 1, 1}, true
	case I16:
		return layout{"I16", 1, 2}, true
	case I32:
		return layout{"I32", 1, 4}, true
	case I64:
		return layout{"I64", 1, 8}, true
	}
	return t.blockLayout()
}

func (t Type) blockLayout() (layout, bool) {
	switch t {
	case Q4_0:
		return layout{"Q4_0", 32, 18}, true
	case Q4_1:
		return layout{"Q4_1", 32, 20}, true
	case Q5_0:
		return layout{"Q5_0", 32, 22}, true
	case Q5_1:
		return layout{"Q5_1", 32, 24}, true
	case Q8_0:
		return layout{"Q8_0", 32, 34}, true
	case Q8_1:
		return layout{"Q8_1", 32, 36}, true
	case Q2_K:
		return layout{"Q2_K", 256, 84}, true
	case Q3_K:
		return layout{"Q3_K", 256, 110}, true
	case Q4_K:
		return layout{"Q4_K", 256, 144}, true
	case Q5_K:
		return layout{"Q5_K", 256, 176}, true
	case Q6_K:
		return layout{"Q6_K", 256, 210}, true
	case Q8_K:
		return layout{"Q8_K", 256, 292}, true
	case IQ4_NL:
		return layout{"IQ4_NL", 32, 18}, true
	case IQ4_XS:
		return layout{"IQ4_XS", 256, 136}, true
	case TQ1_0:
		return layout{"TQ1_0", 256, 54}, true
	case TQ2_0:
		return layout{"TQ2_0", 256, 66}, true
	case MXFP4:
		return layout{"MXFP4", 32, 17}, true
	}
	return layout{}, false
}

// codebookName names the types whose values index a trained codebook. They are
// known by name only, so that a file that uses them is refused with a clear word.
func (t Type) codebookName() string {
	switch t {
	case 16:
		return "IQ2_XXS"
	case 17:
		return "IQ2_XS"
	case 18:
		return "IQ3_XXS"
	case 19:
		return "IQ1_S"
	case 21:
		return "IQ3_S"
	case 22:
		return "IQ2_S"
	case 29:
		return "IQ1_M"
	}
	return ""
}

// String returns the type's name in the format, for example "Q8_0".
func (t Type) String() string {
	if known, ok := t.layout(); ok {
		return known.name
	}
	if name := t.codebookName(); name != "" {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block returns how many values stand in one block of the type and how many
// bytes a block takes; both are 0 for a type that this package cannot read.
func (t Type) Block() (elements, bytes int) {
	known, _ := t.layout()
	return known.elements, known.size
}

// ValueType is the type of a metadata value. The numbers are those of the format.
type ValueType uint32

// The metadata types of the GGUF format.
const (
	Uint8Value   ValueType = 0
	Int8Value    ValueType = 1
	Uint16Value  ValueType = 2
	Int16Value   ValueType = 3
	Uint32Value  ValueType = 4
	Int32Value   ValueType = 5
	Float32Value ValueType = 6
	BoolValue    ValueType = 7
	StringValue  ValueType = 8
	ArrayValue   ValueType = 9
	Uint64Value  ValueType = 10
	Int64Value   ValueType = 11
	Float64Value ValueType = 12
)

var valueNames = [...]string{
	"uint8", "int8", "uint16", "int16", "uint32", "int32",
	"float32", "bool", "string", "array", "uint64", "int64", "float64",
}

// String returns the type's name, for example "uint32".
func (v ValueType) String() string {
	if int(v) < len(valueNames) {
		return valueNames[v]
	}
	return fmt.Sprintf("value type %d", uint32(v))
}

// size returns the bytes that a value of a fixed-size type takes, 0 for others.
func (v ValueType) size() int {
	switch v {
	case Uint8Value, Int8Value, BoolValue:
		return 1
	case Uint16Value, Int16Value:
		return 2
	case Uint32Value, Int32Value, Float32Value:
		return 4
	case Uint64Value, Int64Value, Float64Value:
		return 8
	}
	return 0
}
