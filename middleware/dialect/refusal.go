package dialect

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reason is the class of a refusal or failure. Each dialect has its own words
// and statuses for it.
type Reason uint8

// The reasons.
const (
	BadRequest Reason = iota
	Unauthenticated
	Forbidden
	NotFound
	TooLarge
	NoCredit       // the account's balance or the key's budget
	Limited        // a limit of a short window, or calls in flight
	LimitedForDay  // a limit of a day
	OverLimit      // the call alone exceeds a limit of a short window: waiting does not help
	OverDayLimit   // the call alone exceeds a limit of a day
	Overloaded     // the gateway cannot admit anything now
	UpstreamFailed // no upstream, or one that failed
	UpstreamLate   // the call ran into its time limit
)

// reasonWords holds the status, error.type and code of each reason. They are words
// that OpenAI's and Anthropic's clients know.
var reasonWords = [...]struct {
	status int
	class  string
	code   string
}{
	BadRequest:      {400, "invalid_request_error", "invalid_request"},
	Unauthenticated: {401, "authentication_error", "invalid_api_key"},
	Forbidden:       {403, "permission_error", "permission_denied"},
	NotFound:        {404, "not_found_error", "not_found"},
	TooLarge:        {413, "request_too_large", "request_too_large"},
	NoCredit:        {402, "billing_error", "insufficient_quota"},
	Limited:         {429, "rate_limit_error", "rate_limit_exceeded"},
	LimitedForDay:   {429, "rate_limit_error", "rate_limit_exceeded"},
	OverLimit:       {400, "invalid_request_error", "request_exceeds_limit"},
	OverDayLimit:    {400, "invalid_request_error", "request_exceeds_limit"},
	Overloaded:      {503, "overloaded_error", "overloaded"},
	UpstreamFailed:  {502, "api_error", "upstream_failed"},
	UpstreamLate:    {504, "timeout_error", "deadline_exceeded"},
}

// Bound names the limit or the credit that refused a call.
type Bound struct {
	Rule      string `json:"rule"`            // rpm, tpm, rpd, tpd, max_in_flight, balance or budget
	Scope     string `json:"scope"`           // key, model or account
	Model     string `json:"model,omitempty"` // of scope model
	TokenType string `json:"token_type,omitempty"`
	Unit      string `json:"unit,omitempty"` // micro_credits: of balance and budget
	Limit     int64  `json:"limit"`          // requests, tokens, calls or micro-credits
	Used      int64  `json:"used"`
	Needed    int64  `json:"needed"`
	// Spent and Held make up what is used of a budget; of a balance only Held does.
	Spent *int64 `json:"spent,omitempty"`
	Held  *int64 `json:"held,omitempty"`
}

// MicroCredits is the unit of a Bound that is a balance or a budget.
const MicroCredits = "micro_credits"

// Refusal is an error answer that comes from the gate itself.
type Refusal struct {
	Reason Reason
	Status int    // 0: the status of the reason
	Code   string // empty: the code of the reason
	// Message is a sentence for people. It never holds a key or a part of a prompt.
	Message string
	Param   string // member of the request that is wrong
	// RetryAfter is the wait after which the same call may succeed; 0: unknown.
	RetryAfter time.Duration
	// Final tells clients not to retry automatically.
	Final bool
	// Allow lists the methods of the path, of a call with another one.
	Allow []string
	Bound *Bound
}

// StatusFor returns the refusal's status in a dialect.
func (r *Refusal) StatusFor(name Name) int {
	described := name.description()
	status, own := described.statuses[r.Reason]
	if !own {
		status = reasonWords[r.Reason].status
	}
	if r.Status != 0 {
		status = r.Status
	}
	if status >= 500 && len(described.failures) > 0 && !slices.Contains(described.failures, status) {
		return described.failures[0]
	}
	return status
}

// HasCommonErrors says that the dialect's errors have the common envelope, so that an
// upstream's own error object fits.
func (n Name) HasCommonErrors() bool { return n.description().refusal == nil }

// RetryMilliseconds returns the wait in whole milliseconds, rounded up; 0: unknown.
func (r *Refusal) RetryMilliseconds() int64 {
	return int64((r.RetryAfter + time.Millisecond - 1) / time.Millisecond)
}

// patience is the longest wait that clients are asked to sit out: with longer ones
// some hang and others retry at once. The extra millisecond is there because a
// limiter that counts in milliseconds rounds a full rolling minute up to 60,001.
// Clients that wait 60,000 at most then ask again within seconds, receive a wait
// below a minute, and keep to it.
const patience = time.Minute + time.Millisecond

// SetHeaders sets the headers that tell a client whether and when to try again.
func (r *Refusal) SetHeaders(header http.Header, name Name) {
	if r.Reason == Unauthenticated {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if len(r.Allow) > 0 {
		header.Set("Allow", strings.Join(r.Allow, ", "))
	}
	if name.description().noRetryHeaders {
		return
	}
	if r.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((r.RetryAfter+time.Second-1)/time.Second), 10))
		header.Set("Retry-After-Ms", strconv.FormatInt(r.RetryMilliseconds(), 10))
	}
	if r.Final || r.RetryAfter > patience {
		header.Set("X-Should-Retry", "false")
	}
}

// details is the error object of the common envelope.
type details struct {
	Type       string  `json:"type"`
	Code       string  `json:"code"`
	Message    string  `json:"message"`
	Param      *string `json:"param"`
	RetryAfter int64   `json:"retry_after_ms,omitempty"`
	Limit      *Bound  `json:"limit,omitempty"`
}

type envelope struct {
	Type       string  `json:"type"`
	Error      details `json:"error"`
	RetryAfter int64   `json:"retry_after_ms,omitempty"`
	RequestID  string  `json:"request_id,omitempty"`
}

func (r *Refusal) envelope(requestID string) envelope {
	words := reasonWords[r.Reason]
	body := envelope{Type: "error", RetryAfter: r.RetryMilliseconds(), RequestID: requestID}
	body.Error = details{
		Type: words.class, Code: r.CodeText(), Message: r.Message,
		RetryAfter: body.RetryAfter, Limit: r.Bound,
	}
	if r.Param != "" {
		body.Error.Param = &r.Param
	}
	return body
}

// Body returns the refusal as JSON in a dialect's shape. All refusals for a bad
// key are byte-identical: they carry no request id.
func (r *Refusal) Body(name Name, requestID string) []byte {
	if r.Reason == Unauthenticated {
		requestID = ""
	}
	var shape any
	if own := name.description().refusal; own != nil {
		shape = own(r, r.StatusFor(name))
	} else {
		shape = r.envelope(requestID)
	}
	body, err := json.Marshal(shape)
	if err != nil { // the shapes hold nothing but texts and numbers
		panic(err)
	}
	return append(body, '\n')
}

// short is the message in dialects whose clients compare it: for a limit it is always
// the same.
func (r *Refusal) short() string {
	if r.Reason == Limited || r.Reason == LimitedForDay {
		return "Rate limit exceeded"
	}
	return r.Message
}

// StreamError returns the event that ends a stream that cannot be completed.
// Anthropic's clients recognise an error by the event's name, OpenAI's by its error
// object.
func (r *Refusal) StreamError(name Name, format Format, requestID string) []byte {
	if format == NDJSON {
		line, err := json.Marshal(struct {
			Error string `json:"error"`
		}{r.Message})
		if err != nil {
			panic(err)
		}
		return append(line, '\n')
	}
	body, err := json.Marshal(r.envelope(requestID))
	if err != nil {
		panic(err)
	}
	if name.description().refusalInStream {
		body = r.Body(name, requestID)
		body = body[:len(body)-1]
	}
	return append(append([]byte("event: error\ndata: "), body...), '\n', '\n')
}

// Write sends the refusal in a dialect's shape.
func (r *Refusal) Write(w http.ResponseWriter, name Name, requestID string) error {
	header := w.Header()
	r.SetHeaders(header, name)
	body := r.Body(name, requestID)
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Del("Content-Encoding")
	w.WriteHeader(r.StatusFor(name))
	_, err := w.Write(body)
	return err
}

// CodeText returns the refusal's code.
func (r *Refusal) CodeText() string {
	if r.Code != "" {
		return r.Code
	}
	return reasonWords[r.Reason].code
}
