package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"
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

// aixplainError is the body of a refusal on the aiXplain routes. Its SDK takes
// the status from the body first, and its older half shows nothing but error.
type aixplainError struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Error      string `json:"error"`
	RetryAfter int64  `json:"retry_after_ms,omitempty"`
	RequestID  string `json:"requestId"`
}

// json sends a reply. Replies may hold a key and are always about one caller, so
// no cache keeps them.
func (c *call) json(status int, body any) {
	header := c.writer.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	c.writer.WriteHeader(status)
	// The status is sent: an error here means that the client has gone.
	_ = json.NewEncoder(c.writer).Encode(body)
}

// refuse sends a problem in the dialect of the route.
func (c *call) refuse(p *problem) {
	if p.status >= http.StatusInternalServerError {
		c.handler.logger.Error("administrative request failed", slog.String("request_id", c.id),
			slog.String("code", p.code), slog.Any("cause", p.cause))
	}
	if p.allow != "" {
		c.writer.Header().Set("Allow", p.allow)
	}
	if p.status == http.StatusUnauthorized && c.dialect == native {
		c.writer.Header().Set("WWW-Authenticate", `Bearer realm="penstock"`)
	}
	wait := (p.retryAfter + time.Millisecond - 1).Milliseconds()
	if c.dialect == aixplain {
		// No Retry-After here: the SDK would sleep instead of raising its error.
		c.json(p.status, aixplainError{
			StatusCode: p.status, Message: p.message, Error: p.message, RetryAfter: wait, RequestID: c.id,
		})
		return
	}
	if wait > 0 {
		c.writer.Header().Set("Retry-After", strconv.FormatInt((wait+999)/1000, 10))
	}
	body := nativeError{CurrentVersion: p.version, RetryAfter: wait, RequestID: c.id}
	body.Error.Type, body.Error.Code, body.Error.Message, body.Error.Param = p.kind(), p.code, p.message, p.param
	c.json(p.status, body)
}
