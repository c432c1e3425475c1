package alerts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/penstockhq/penstock/internal/replace"
)

// stateRow is a mark in the state file.
type stateRow struct {
	Identity identity `json:"Scope"`
	Mark     mark
}

func (m *Monitor) loadState() error {
	if m.statePath == "" {
		return nil
	}
	content, err := os.ReadFile(m.statePath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the state of alerts: %w", err)
	}
	var rows []stateRow
	if err := json.Unmarshal(content, &rows); err != nil {
		// Reporting something twice is better than not starting.
		m.logger.Warn("the state of alerts is damaged: starting with an empty one",
			slog.String("file", m.statePath), slog.Any("error", err))
		return nil
	}
	for _, row := range rows[:min(len(rows), maxMarks)] {
		m.marks[row.Identity] = row.Mark
	}
	return nil
}

// saveState replaces the file as a whole, so that a crash leaves either the old one or
// the new one.
func (m *Monitor) saveState() {
	if m.statePath == "" {
		return
	}
	rows := make([]stateRow, 0, len(m.marks))
	for of, now := range m.marks {
		rows = append(rows, stateRow{of, now})
	}
	content, err := json.Marshal(rows)
	if err == nil {
		err = replace.File(m.statePath, func(file *os.File) error {
			_, err := file.Write(content)
			return err
		})
	}
	if err != nil {
		m.logger.Warn("could not save the state of alerts", slog.String("file", m.statePath), slog.Any("error", err))
	}
}
