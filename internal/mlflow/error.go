package mlflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error codes of MLflow that callers ask for.
const (
	CodeNotFound      = "RESOURCE_DOES_NOT_EXIST"
	CodeAlreadyExists = "RESOURCE_ALREADY_EXISTS"
	CodeInvalidState  = "INVALID_STATE"
	CodeDisabled      = "FEATURE_DISABLED"
)

// Error is an answer that reports a failure, or a call without an answer (Status 0).
type Error struct {
	Call       string // method and path
	Status     int    // HTTP status; 0 when no answer came
	Code       string // error_code of MLflow; empty for answers that are not MLflow's JSON
	Message    string
	HTML       bool          // the answer was an HTML page
	RetryAfter time.Duration // what the server asked for; 0 = nothing

	notSent bool
	// elsewhere is set when a route is not there that every MLflow has, or what is there is no MLflow.
	elsewhere bool
	// strange is set when an answer that reports success is none of MLflow's, and when one that reports
	// a failure is the beginning of JSON.
	strange bool
	cause   error
}

func (e *Error) Error() string {
	switch {
	case e.Status == 0:
		return fmt.Sprintf("%s: %v", e.Call, e.cause)
	case e.Code != "":
		return fmt.Sprintf("%s: HTTP %d %s: %s", e.Call, e.Status, e.Code, clip(e.Message, 500))
	default:
		return fmt.Sprintf("%s: HTTP %d: %s", e.Call, e.Status, clip(e.Message, 500))
	}
}

func (e *Error) Unwrap() error { return e.cause }

// Retryable reports whether the same request may succeed later.
func (e *Error) Retryable() bool {
	if e.strange {
		return true
	}
	switch e.Status {
	case 0, http.StatusRequestTimeout, http.StatusConflict, http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusTooManyRequests, 499,
		http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return e.Race()
	case http.StatusServiceUnavailable:
		// A server started with --no-serve-artifacts says this for ever.
		return !strings.Contains(e.Message, "serve-artifacts")
	case http.StatusInternalServerError:
		return !e.permanent500()
	}
	return e.Status > http.StatusNotImplemented
}

// Race reports whether two writers met in MLflow's database, which MLflow answers with a
// 400 although the same request succeeds when it is repeated. The exception is a NaN
// metric sent twice, see MetricExists.
func (e *Error) Race() bool {
	for _, s := range []string{"UniqueViolation", "UNIQUE constraint failed", "Duplicate entry", "IntegrityError"} {
		if strings.Contains(e.Message, s) {
			return true
		}
	}
	return false
}

// MetricExists reports whether the database refused a metric point because it holds it.
// MLflow before 3.16 does not recognise a NaN point as its own when it is sent again, and
// then never accepts the batch.
func (e *Error) MetricExists() bool {
	return e.Status == http.StatusBadRequest && e.Race() &&
		(strings.Contains(e.Message, "metrics.key") || strings.Contains(e.Message, "metric_pk") || strings.Contains(e.Message, "metrics.PRIMARY"))
}

// permanent500 recognises answers with status 500 that say the same every time.
func (e *Error) permanent500() bool {
	if e.Code == CodeDisabled || e.Code == CodeInvalidState {
		return true
	}
	for _, s := range []string{
		"cannot contain NUL", "blank-out primary key", "due to a constraint violation", "Python int too large",
		"'str' object has no attribute 'items'", // 3.10 and 3.11 on a cost of a span that is no object
	} {
		if strings.Contains(e.Message, s) {
			return true
		}
	}
	return false
}

// ParamConflict reports whether a param has another value in MLflow already.
func (e *Error) ParamConflict() bool {
	return e.Status == http.StatusBadRequest && strings.Contains(e.Message, "Changing param values is not allowed")
}

// Inactive reports whether the run or experiment is deleted but can be restored.
func (e *Error) Inactive() bool {
	return e.Status == http.StatusBadRequest && strings.Contains(e.Message, "must be in the 'active' state")
}

// NoRoute reports whether the server does not know the path, because it is too old, has
// another prefix, or is no MLflow.
func (e *Error) NoRoute() bool {
	return e.Status == http.StatusNotFound && !e.strange && (e.HTML || e.Code == "ENDPOINT_NOT_FOUND" || e.Code == "")
}

// Strange reports whether an answer reports success and is none of MLflow's, the page of a proxy for
// instance, or is JSON that was cut. Whether the server did what it was asked is not known.
func (e *Error) Strange() bool { return e.strange }

// Configuration reports whether credentials, permissions, the server's host check, a
// workspace that it does not have, or an address where there is no MLflow stand in the way of
// every request alike, which a person has to change.
func (e *Error) Configuration() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusProxyAuthRequired || (e.Status == http.StatusForbidden && e.Code == "") ||
		(e.Status >= 300 && e.Status < 400) || e.workspace() || e.elsewhere
}

// workspace recognises what a server says of X-MLFLOW-WORKSPACE: it has no workspaces, or
// not this one.
func (e *Error) workspace() bool {
	return (e.Code == CodeDisabled && strings.HasPrefix(e.Message, "Workspace")) ||
		(e.Code == CodeNotFound && strings.HasPrefix(e.Message, "Workspace '"))
}

// NotSent reports whether the request cannot have reached the server.
func (e *Error) NotSent() bool { return e.notSent }

// IsCode reports whether err is an *Error with the MLflow error code. That a workspace is not found says
// nothing of what was looked for in it, and is no CodeNotFound.
func IsCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code && (code != CodeNotFound || !e.workspace())
}

// IsMissing reports whether err says that what was asked for is not there: an older MLflow says so of a
// route that it lacks. A missing workspace, or a wrong address, says nothing of that.
func IsMissing(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && !e.Configuration()
}

func transportError(call string, err error) *Error {
	e := &Error{Call: call, cause: err}
	var op *net.OpError
	e.notSent = errors.As(err, &op) && op.Op == "dial"
	return e
}

// strangeError is for an answer with a status of success that MLflow does not give.
func strangeError(call string, body []byte, cause error) *Error {
	message := "an empty answer is not what MLflow sends"
	if text := strings.TrimSpace(string(body)); text != "" {
		message = "answer is not what MLflow sends: " + clip(text, 200)
	}
	return &Error{Call: call, Status: http.StatusOK, Message: message, HTML: isHTML(string(body)), strange: true, cause: cause}
}

// isObject reports whether a body may be a JSON object.
func isObject(body []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) }

// isHTML reports whether a text is a page.
func isHTML(text string) bool {
	text = strings.TrimSpace(text)
	start := strings.ToLower(text[:min(len(text), len("<!doctype"))])
	return start == "<!doctype" || strings.HasPrefix(start, "<html")
}

func responseError(call string, res *http.Response, body []byte) *Error {
	e := &Error{Call: call, Status: res.StatusCode, cause: errors.New(http.StatusText(res.StatusCode))}
	e.RetryAfter = retryAfter(res.Header)
	var j struct {
		Code    string          `json:"error_code"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	switch {
	case json.Unmarshal(body, &j) == nil && (j.Code != "" || j.Message != ""):
		e.Code, e.Message = j.Code, j.Message
	case len(j.Detail) > 0:
		e.Message = string(j.Detail)
	default:
		e.Message = strings.TrimSpace(string(body))
		e.HTML = isHTML(e.Message)
		e.strange = isObject(body) && !json.Valid(body) && len(body) < maxErrorBody
	}
	if loc := res.Header.Get("Location"); loc != "" && e.Status < 400 {
		e.Message = "redirects to " + clip(loc, 200) + ", which is not followed: configure that address"
	}
	return e
}

// retryAfter reads Retry-After: seconds, or a time by the clock of whoever answered.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(s, 0)) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		at = time.Now()
	}
	return max(until.Sub(at), 0)
}
