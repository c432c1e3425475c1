package simulator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Row is one call of a trace.
type Row struct {
	At            time.Duration
	Input, Output int
	Blocks        []uint64 // ids of the parts of the prompt, each of blockOf tokens; none: not known
}

// mooncakeBlock is the tokens that an id of Mooncake's traces stands for.
const mooncakeBlock = 512

// ReadMooncake reads a trace as Mooncake publishes them: a line of JSON for each call.
func ReadMooncake(r io.Reader) ([]Row, error) {
	var rows []Row
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		var line struct {
			Timestamp float64  `json:"timestamp"` // milliseconds
			Input     int      `json:"input_length"`
			Output    int      `json:"output_length"`
			Blocks    []uint64 `json:"hash_ids"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(rows)+1, err)
		}
		if line.Input < 1 || len(line.Blocks) != (line.Input+mooncakeBlock-1)/mooncakeBlock {
			return nil, fmt.Errorf("line %d: input_length %d has %d hash_ids", len(rows)+1, line.Input, len(line.Blocks))
		}
		at := time.Duration(line.Timestamp * float64(time.Millisecond))
		rows = append(rows, Row{at, line.Input, max(1, line.Output), line.Blocks})
	}
	return rows, lines.Err()
}

// ReadAzure reads a trace as Azure publishes them: lines of time, tokens of the prompt, tokens
// of the answer, below a line of names.
func ReadAzure(r io.Reader) ([]Row, error) {
	var rows []Row
	var first time.Time
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ",")
		if number == 1 || len(fields) == 1 && fields[0] == "" {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d: %d fields, want 3", number, len(fields))
		}
		at, err := time.Parse("2006-01-02 15:04:05", fields[0])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		input, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		output, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if len(rows) == 0 {
			first = at
		}
		rows = append(rows, Row{At: at.Sub(first), Input: max(1, input), Output: max(1, output)})
	}
	return rows, lines.Err()
}

// Replay makes the calls of a trace, so many times as fast as they were made. The rate of the
// experiment is that speed.
func Replay(name string, rows []Row, speed float64, engines []Hardware) Workload {
	length := time.Duration(0)
	if len(rows) > 0 {
		length = time.Duration(float64(rows[len(rows)-1].At) / speed)
	}
	return Workload{Name: name, Rate: speed, Engines: engines, Length: length, Start: func(r *Run) {
		for i, row := range rows {
			at := time.Duration(float64(row.At) / r.config.Rate)
			if at > r.config.Length {
				break
			}
			q := &Request{Owner: "one", Session: uint64(i + 1), Output: row.Output}
			left := row.Input
			for _, id := range row.Blocks {
				q.Prompt = append(q.Prompt, Segment{mix(id ^ 8<<40), min(mooncakeBlock, left), "user"})
				left -= mooncakeBlock
			}
			if row.Blocks == nil {
				q.Prompt = []Segment{{mix(uint64(i) ^ 9<<40), row.Input, "user"}}
			}
			r.at(at, func() { r.send(q, nil) })
		}
	}}
}
