// Package clip shortens what callers sent, before it goes into a reply, an error or a
// log.
package clip

import "strings"

const (
	// longest is what is short enough to show: ids, names of models, times.
	longest = 32
	// part is what is shown of longer texts.
	part = 12
)

// Text returns a text of up to 32 bytes as it is and of a longer one the beginning, so
// that a key which was put into the wrong place does not come back.
func Text(text string) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:part], "") + "..."
}
