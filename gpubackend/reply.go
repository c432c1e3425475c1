package gpubackend

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// writeJSON writes a body that is small enough to fit into the kernel's buffers.
func writeJSON(w http.ResponseWriter, status int, body any) {
	_, _ = w.Write(startJSON(w, status, body)) // an error means that the client has left
}

// startJSON writes the header of a reply and returns its body.
func startJSON(w http.ResponseWriter, status int, body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		// Every body is made of strings and finite numbers.
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	return append(text, '\n')
}

// replyPart is the number of bytes that a client must accept within the write timeout.
// A reply that is no longer fits into the kernel's buffers and needs no timeout.
const replyPart = 64 << 10

// writeReply writes the body of an answer, which may be large: sixteen choices
// with the alternatives of each token are a hundred megabytes. The connection to a
// client that does not read is closed, so that the answer does not stay in memory.
func (s *Server) writeReply(w http.ResponseWriter, body any) {
	text := startJSON(w, http.StatusOK, body)
	if len(text) <= replyPart {
		_, _ = w.Write(text)
		return
	}
	// Errors of the control are ignored: some writers support neither deadlines nor Flush.
	control := http.NewResponseController(w)
	for part := range slices.Chunk(text, replyPart) {
		_ = control.SetWriteDeadline(time.Now().Add(s.config.writeTimeout))
		if _, err := w.Write(part); err != nil {
			return
		}
	}
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{}) // the connection may serve another request
}
