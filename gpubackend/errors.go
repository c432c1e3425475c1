package gpubackend

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// apiError is what a caller is told. There is one shape on all routes:
// {"error":{"type","code","message"}}, with "param" and "retry_after_ms" where
// they say something.
type apiError struct {
	status  int
	kind    string
	code    string
	message string
	param   string
	retry   time.Duration // 0: the same request is not worth repeating
}

func (e *apiError) Error() string { return e.message }

const (
	kindInvalid    = "invalid_request_error"
	kindNotFound   = "not_found_error"
	kindServer     = "server_error"
	kindOverloaded = "overloaded_error"
)

var errUnknownPath = &apiError{
	status: http.StatusNotFound, kind: kindNotFound, code: "unknown_path", message: "there is nothing at this path",
}

func invalid(param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_value", message: message, param: param}
}

func invalidType(param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_type", message: message, param: param}
}

// unsupported refuses a member, or only the values of it that which tells.
func unsupported(param, which string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, kind: kindInvalid, code: "unsupported_parameter",
		message: param + which + " is not supported by this server", param: param,
	}
}

// asAPIError finds the words for an error of the engine.
func asAPIError(err error) *apiError {
	var (
		known   *apiError
		length  *engine.ContextError
		request *engine.RequestError
		busy    *engine.BusyError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &length):
		return &apiError{status: http.StatusBadRequest, kind: kindInvalid, code: "context_length_exceeded", message: length.Error()}
	case errors.As(err, &request):
		return invalid("", request.Error())
	case errors.As(err, &busy):
		code := "queue_full"
		if busy.Waited > 0 {
			code = "queue_timeout"
		}
		return &apiError{status: http.StatusServiceUnavailable, kind: kindOverloaded, code: code, message: busy.Error(), retry: busy.RetryAfter}
	case errors.Is(err, engine.ErrDraining):
		return &apiError{status: http.StatusServiceUnavailable, kind: kindOverloaded, code: "draining", message: err.Error(), retry: drainingRetry}
	case errors.Is(err, engine.ErrClosed):
		return &apiError{status: http.StatusServiceUnavailable, kind: kindServer, code: "closed", message: err.Error(), retry: drainingRetry}
	}
	return &apiError{
		status: http.StatusInternalServerError, kind: kindServer, code: "engine_failure",
		message: "the engine failed; the server's log says why",
	}
}

// drainingRetry is what callers of a server on its way out are told: by then a
// restart is usually over.
const drainingRetry = 5 * time.Second

type errorBody struct {
	Type         string `json:"type"`
	Code         string `json:"code"`
	Message      string `json:"message"`
	Param        string `json:"param,omitempty"`
	RetryAfterMs int64  `json:"retry_after_ms,omitempty"`
}

func (e *apiError) body() map[string]errorBody {
	return map[string]errorBody{"error": {e.kind, e.code, e.message, e.param, e.retry.Milliseconds()}}
}

func writeError(w http.ResponseWriter, err error) {
	reason := asAPIError(err)
	if reason.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(reason.retry.Seconds()))))
		w.Header().Set("Retry-After-Ms", strconv.FormatInt(reason.retry.Milliseconds(), 10))
	}
	writeJSON(w, reason.status, reason.body())
}
