package gpubackend

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// writeJSON writes a body that is small enough for the buffers on its way.
func writeJSON(w http.ResponseWriter, status int, body any) {
	_, _ = w.Write(startJSON(w, status, body)) // a caller that has left
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

// replyPart is what a caller must accept within the write timeout. A reply of one
// part is left to the kernel's buffers.
const replyPart = 64 << 10

// writeReply writes the body of an answer, which may be large: sixteen choices
// with the alternatives of each token are a hundred megabytes. A caller that does
// not read is given up, so that it cannot keep them here.
func (s *Server) writeReply(w http.ResponseWriter, body any) {
	text := startJSON(w, http.StatusOK, body)
	if len(text) <= replyPart {
		_, _ = w.Write(text)
		return
	}
	// Writers that know no deadlines or flushes are left without.
	control := http.NewResponseController(w)
	for part := range slices.Chunk(text, replyPart) {
		_ = control.SetWriteDeadline(time.Now().Add(s.config.writeTimeout))
		if _, err := w.Write(part); err != nil {
			return
		}
	}
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{}) // it would outlive the reply on its connection
}
