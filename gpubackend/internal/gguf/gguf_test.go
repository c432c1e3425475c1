package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// sample is a file with every kind of value and two tensors.
func sample(t testing.TB) []byte {
	t.Helper()
	w := gguf.NewWriter()
	for _, entry := range []struct {
		key   string
		value any
	}{
		{"text", "häl lo"},
		{"yes", true},
		{"no", false},
		{"uint32", uint32(7)},
		{"int32", int32(-7)},
		{"uint64", uint64(1 << 40)},
		{"int64", int64(-1 << 40)},
		{"float32", float32(1.5)},
		{"float64", 2.5},
		{"texts", []string{"", "a", "bc"}},
		{"ints", []int32{-1, 2}},
		{"uints", []uint32{3}},
		{"floats", []float32{0.5}},
		{"bools", []bool{true}},
		{"big", uint64(math.MaxUint64)},
	} {
		if err := w.Set(entry.key, entry.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AddFloats("a", gguf.F32, []int{3, 1}, []float32{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := w.AddFloats("b", gguf.Q8_0, []int{32}, make([]float32, 32)); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sample.gguf")
	if err := os.WriteFile(path, sample(t), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
		}
	}
	text, err := file.Text("text")
	check("text", text, "häl lo", err)
	yes, err := file.Bool("yes")
	check("yes", yes, true, err)
	no, err := file.Bool("no")
	check("no", no, false, err)
	for key, want := range map[string]int64{"uint32": 7, "int32": -7, "uint64": 1 << 40, "int64": -1 << 40} {
		number, err := file.Int(key)
		check(key, number, want, err)
	}
	for key, want := range map[string]float64{"float32": 1.5, "float64": 2.5, "int32": -7, "big": math.MaxUint64} {
		number, err := file.Float(key)
		check(key, number, want, err)
	}
	texts, err := file.Texts("texts")
	check("texts", strings.Join(texts, "|"), "|a|bc", err)
	length, err := file.Length("texts")
	check("length of texts", length, 3, err)
	ints, err := file.Ints("ints")
	check("ints", slices.Equal(ints, []int64{-1, 2}), true, err)
	floats, err := file.Floats("floats")
	check("floats", slices.Equal(floats, []float32{0.5}), true, err)
	tensor, err := file.Tensor("a")
	if err != nil || !slices.Equal(tensor.Shape, []int{3, 1}) || tensor.Type != gguf.F32 || tensor.Elements() != 3 {
		t.Fatalf("tensor a: %+v, %v", tensor, err)
	}
	numbers := make([]float32, 3)
	if err := gguf.Dequantize(tensor.Type, tensor.Data, numbers); err != nil || !slices.Equal(numbers, []float32{1, 2, 3}) {
		t.Errorf("tensor a holds %v, %v", numbers, err)
	}
	check("name", file.Name, "sample.gguf", nil)
}

func TestLookUpsTellMissingFromWrong(t *testing.T) {
	file, err := gguf.Parse(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Text("nothing"); !errors.Is(err, gguf.ErrMissing) {
		t.Errorf("missing key: %v", err)
	}
	if _, err := file.Tensor("nothing"); !errors.Is(err, gguf.ErrMissing) {
		t.Errorf("missing tensor: %v", err)
	}
	for _, test := range []struct {
		want string
		err  error
	}{
		{`metadata "yes": is bool, want string`, second(file.Text("yes"))},
		{`metadata "text": is string, want a whole number`, second(file.Int("text"))},
		{`metadata "ints": is array of int32, want a whole number`, second(file.Int("ints"))},
		{`metadata "big": 18446744073709551615 does not fit into 63 bits`, second(file.Int("big"))},
		{`metadata "texts": is array of string, want array of numbers`, second(file.Floats("texts"))},
		{`metadata "uint32": is uint32, want an array`, second(file.Length("uint32"))},
		{`metadata "uint32": is uint32, want bool`, second(file.Bool("uint32"))},
	} {
		if test.err == nil || test.err.Error() != test.want || errors.Is(test.err, gguf.ErrMissing) {
			t.Errorf("got %v, want %s", test.err, test.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// forged builds headers byte by byte.
type forged struct{ bytes.Buffer }

func (f *forged) numbers32(numbers ...uint32) *forged {
	binary.Write(f, binary.LittleEndian, numbers)
	return f
}

func (f *forged) numbers64(numbers ...uint64) *forged {
	binary.Write(f, binary.LittleEndian, numbers)
	return f
}

func (f *forged) text(text string) *forged {
	f.numbers64(uint64(len(text)))
	f.WriteString(text)
	return f
}

func header(version uint32, tensors, entries uint64) *forged {
	f := &forged{}
	f.WriteString("GGUF")
	return f.numbers32(version).numbers64(tensors, entries)
}

func (f *forged) tensor(name string, kind uint32, offset uint64, shape ...uint64) *forged {
	return f.text(name).numbers32(uint32(len(shape))).numbers64(shape...).numbers32(kind).numbers64(offset)
}

func (f *forged) zeros(count int) *forged {
	f.Write(make([]byte, count))
	return f
}

func TestBadFilesAreRefusedWithTheFieldAndTheValue(t *testing.T) {
	for want, file := range map[string]*forged{
		`magic: needs 4 bytes`:                                        {},
		`version: 1 is not supported`:                                 header(1, 0, 0),
		`big-endian`:                                                  header(3<<24, 0, 0),
		`tensor count: 1000000000000 is`:                              header(3, 1e12, 0).zeros(100),
		`metadata count: 77 is more`:                                  header(3, 0, 77).zeros(100),
		`length of metadata key 0: 9223372036854775808`:               header(3, 0, 1).numbers64(1 << 63).zeros(100),
		`length of metadata key 0: 70000 is more than`:                header(3, 0, 1).numbers64(70000).zeros(80000),
		`metadata "k": unknown value type 99`:                         header(3, 0, 1).text("k").numbers32(99).zeros(8),
		`metadata "k": arrays of arrays`:                              header(3, 0, 1).text("k").numbers32(9, 9).zeros(8),
		`length of metadata "k": 1152921504606846976`:                 header(3, 0, 1).text("k").numbers32(9, 8).numbers64(1 << 60).zeros(8),
		`metadata "k": occurs twice`:                                  header(3, 0, 2).text("k").numbers32(0).zeros(1).text("k").numbers32(0).zeros(1),
		`tensor "t": 5 dimensions`:                                    header(3, 1, 0).tensor("t", 0, 0, 1, 1, 1, 1, 1).zeros(100),
		`tensor "t": dimension 1 is 4611686018427387904`:              header(3, 1, 0).tensor("t", 0, 0, 4, 1<<62).zeros(100),
		`tensor "t": dimension 0 is 0`:                                header(3, 1, 0).tensor("t", 0, 0, 0).zeros(100),
		`tensor "t": IQ2_XXS is not supported`:                        header(3, 1, 0).tensor("t", 16, 0, 256).zeros(100),
		`tensor "t": type 4711 is not supported`:                      header(3, 1, 0).tensor("t", 4711, 0, 256).zeros(100),
		`tensor "t": rows of 33 values do not divide`:                 header(3, 1, 0).tensor("t", 8, 0, 33).zeros(100),
		`tensor "t": offset 7 is not a multiple`:                      header(3, 1, 0).tensor("t", 0, 7, 1).zeros(100),
		`tensor "t": 400 bytes at offset 0 go beyond`:                 header(3, 1, 0).tensor("t", 0, 0, 100).zeros(100),
		`tensor "t": 4 bytes at offset 9223372036854775808 go beyond`: header(3, 1, 0).tensor("t", 0, 1<<63, 1).zeros(100),
		`tensor "t": occurs twice`:                                    header(3, 2, 0).tensor("t", 0, 0, 1).tensor("t", 0, 32, 1).zeros(200),
		`lies inside tensor`:                                          header(3, 2, 0).tensor("t", 0, 0, 9).tensor("u", 0, 32, 1).zeros(200),
		`"general.alignment": 3 is not a power of two`:                header(3, 0, 1).text("general.alignment").numbers32(4, 3).zeros(100),
	} {
		_, err := gguf.Parse(file.Bytes())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	data := sample(t)
	// The last bytes are padding behind the last tensor, which may be missing.
	for size := range len(data) - 31 {
		if _, err := gguf.Parse(data[:size]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", size, len(data))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample(f))
	f.Add(header(3, 1, 0).tensor("t", 12, 0, 256, 2).zeros(400).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		for _, key := range file.Keys() {
			file.Text(key)
			file.Texts(key)
			file.Int(key)
			file.Ints(key)
			file.Floats(key)
			file.Bool(key)
		}
		for _, tensor := range file.Tensors() {
			elements, size := tensor.Type.Block()
			if tensor.Elements()/elements*size != len(tensor.Data) {
				t.Fatalf("tensor %q: %d bytes for shape %v of %s", tensor.Name, len(tensor.Data), tensor.Shape, tensor.Type)
			}
			gguf.Dequantize(tensor.Type, tensor.Data, make([]float32, tensor.Elements()))
		}
	})
}
