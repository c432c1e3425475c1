package admin

import (
	"net/http"
	"strconv"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// nativeError is the body of a refusal on the native routes.
type nativeError struct {
	Error struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Message string `json:"message"`
		Param   string `json:"param,omitempty"`
	} `json:"error"`
	CurrentVersion int64  `json:"current_version,omitempty"`
	RetryAfter     int64  `json:"retry_after_ms,omitempty"`
	RequestID      string `json:"request_id"`
}

// refuse sends a problem on the native routes.
func refuse(c *rest.Call, p *rest.Problem) {
	if p.Status == http.StatusUnauthorized {
		c.Writer.Header().Set("WWW-Authenticate", `Bearer realm="penstock"`)
	}
	wait := p.RetryAfterMS()
	if wait > 0 {
		c.Writer.Header().Set("Retry-After", strconv.FormatInt((wait+999)/1000, 10))
	}
	body := nativeError{CurrentVersion: p.Version, RetryAfter: wait, RequestID: c.ID}
	body.Error.Type, body.Error.Code, body.Error.Message, body.Error.Param = typeOf(p), p.Code, p.Message, p.Param
	c.JSON(p.Status, body)
}

// typeOf is the type of a problem in native replies.
func typeOf(p *rest.Problem) string {
	switch p.Status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusConflict, http.StatusUnprocessableEntity:
		return "conflict_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	}
	if p.Status >= http.StatusInternalServerError {
		return "api_error"
	}
	return "invalid_request_error"
}
