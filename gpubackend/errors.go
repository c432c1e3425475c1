package gpubackend

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// apiError is an error as the client receives it. All routes use one shape:
// {"error":{"type","code","message"}}, with "param" and "retry_after_ms" where
// they apply.
type apiError struct {
	status  int
	kind    string
	code    string
	message string
	param   string
	retry   time.Duration // when to try again; 0 if the same request would fail again
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

// unsupported refuses a member of the body. The condition, such as " other than 1",
// says which values of it are not supported; it is empty if none is.
func unsupported(param, condition string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, kind: kindInvalid, code: "unsupported_parameter",
		message: param + condition + " is not supported by this server", param: param,
	}
}

// asAPIError translates an error of the engine. An error that it does not know becomes
// a failure of the engine, without its text: that is for the log.
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

// drainingRetry is the Retry-After of a server that is shutting down: a restart has
// usually finished by then.
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
