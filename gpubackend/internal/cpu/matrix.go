package cpu

import (
	"encoding/binary"
	"fmt"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

const (
	// tileRows is the number of rows that quantised matrices interleave: as many as
	// the 32-bit lanes of the widest register.
	tileRows = 16
	// blockSize is the number of values that share a scale in Q8_0.
	blockSize = 32
	tileBlock = tileRows * blockSize
)

// matrix is a linear map from vectors of columns values to vectors of rows.
type matrix struct {
	rows, columns int
	kind          gguf.Type // F32, F16, BF16 or Q8_0
	bias          []float32 // nil for none

	// data holds the rows of the float kinds, in the file.
	data []byte

	// Q8_0 is kept in tiles of 16 rows, padded with rows of zeros. For each block
	// of 32 columns a tile has 16 scales, and 512 values in the order that the
	// kernels read: four columns of row 0, the same four of row 1, and so on, then
	// the next four columns. Values are XORed with the kernels' bias.
	values []byte
	scales []uint16
}

func (m *matrix) tiles() int  { return (m.rows + tileRows - 1) / tileRows }
func (m *matrix) blocks() int { return m.columns / blockSize }

// bytes returns what a product reads of the matrix.
func (m *matrix) bytes() int64 {
	return int64(len(m.data)) + int64(len(m.values)) + 2*int64(len(m.scales))
}

// loadMatrix prepares a tensor of the shape [columns, rows]. Floats are used in
// place; every other type becomes Q8_0.
func (e *Engine) loadMatrix(name string, columns, rows int) (*matrix, error) {
	tensor, err := e.tensor(name, columns, rows)
	if err != nil {
		return nil, err
	}
	m := &matrix{rows: rows, columns: columns, kind: tensor.Type}
	switch {
	case tensor.Type == gguf.F32 || tensor.Type == gguf.F16 || tensor.Type == gguf.BF16:
		m.data = tensor.Data
	case columns%blockSize != 0:
		return nil, fmt.Errorf("tensor %q: rows of %d values cannot be quantised, as %s needs: not a multiple of %d",
			name, columns, tensor.Type, blockSize)
	default:
		m.kind = gguf.Q8_0
		err = e.pack(m, tensor)
	}
	e.weightBytes += m.bytes()
	return m, err
}

// pack fills the tiles of a matrix from a quantised tensor.
func (e *Engine) pack(m *matrix, tensor *gguf.Tensor) error {
	tiles, blocks := m.tiles(), m.blocks()
	memory, err := e.allocate(tiles * blocks * tileBlock)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", tensor.Name, err)
	}
	m.values, m.scales = memory, make([]uint16, tiles*blocks*tileRows)
	if tensor.Type != gguf.Q8_0 {
		// Also finds the types that hold no weights, before the parallel part.
		elements, size := tensor.Type.Block()
		if err := gguf.Dequantize(tensor.Type, tensor.Data[:size], make([]float32, elements)); err != nil {
			return fmt.Errorf("tensor %q: %w", tensor.Name, err)
		}
	}
	rowBytes := len(tensor.Data) / m.rows
	packers := make([]packer, e.threads)
	e.pool.run(tiles, func(worker, tile int) {
		p := &packers[worker]
		for i := range tileRows {
			row := tile*tileRows + i
			var raw []byte
			if row < m.rows {
				raw = p.quantised(tensor.Type, tensor.Data[row*rowBytes:][:rowBytes], m.columns)
			}
			m.packRow(row, raw, e.kernels.bias)
		}
	})
	return nil
}

// packer turns rows of any type into Q8_0 blocks.
type packer struct {
	floats []float32
	blocks []byte
}

func (p *packer) quantised(kind gguf.Type, raw []byte, columns int) []byte {
	if kind == gguf.Q8_0 {
		return raw
	}
	if p.floats == nil || len(p.floats) != columns {
		_, size := gguf.Q8_0.Block()
		p.floats, p.blocks = make([]float32, columns), make([]byte, columns/blockSize*size)
	}
	gguf.Dequantize(kind, raw, p.floats) // the type and the sizes have been checked
	_, size := gguf.Q8_0.Block()
	for i := range columns / blockSize {
		gguf.EncodeQ8_0(p.blocks[i*size:], p.floats[i*blockSize:])
	}
	return p.blocks
}

// packRow spreads a row of Q8_0 blocks over its tile; nil is a row of zeros.
func (m *matrix) packRow(row int, raw []byte, bias byte) {
	_, size := gguf.Q8_0.Block()
	tile, lane, blocks := row/tileRows, row%tileRows, m.blocks()
	flip := uint32(bias) * 0x01010101
	for block := range blocks {
		at := tile*blocks + block
		values := m.values[at*tileBlock:][:tileBlock]
		var source [blockSize]byte
		if raw != nil {
			m.scales[at*tileRows+lane] = binary.LittleEndian.Uint16(raw[block*size:])
			source = [blockSize]byte(raw[block*size+2:])
		}
		for i := 0; i < blockSize; i += 4 {
			four := binary.LittleEndian.Uint32(source[i:])
			binary.LittleEndian.PutUint32(values[i*tileRows+lane*4:], four^flip)
		}
	}
}

// allocate returns memory that Close releases.
func (e *Engine) allocate(size int) ([]byte, error) {
	memory, err := allocate(size)
	if err == nil {
		e.memory = append(e.memory, memory)
	}
	return memory, err
}
