package analysis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/technoshare/commentator/internal/commentator"
)

// Codes of the errors of model calls.
const (
	codeUnauthorized  = "model_unauthorized"
	codeForbidden     = "model_forbidden"
	codeNotFound      = "model_not_found"
	codeRateLimited   = "model_rate_limited"
	codeQuota         = "model_quota_exceeded"
	codeContextLength = "model_context_length"
	codeBadRequest    = "model_bad_request"
	codeUnavailable   = "model_unavailable"
	codeUnreachable   = "model_unreachable"
	codeTimeout       = "model_timeout"
	codeRefused       = "model_refused"
	codeBadOutput     = "bad_model_output"
)

// callError turns the error of a model call into one that says what to do, and whether
// trying again can help. The end of ctx itself is passed on as it is.
func (o *OpenAI) callError(ctx context.Context, model string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("call model %s: %w", model, ctx.Err())
	}
	var status *statusError
	if errors.As(err, &status) {
		return o.serverError(model, status)
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return &commentator.Error{
			Code: codeTimeout, Err: o.hideKey(err),
			Message: fmt.Sprintf("model %s gave no answer within %s", model, o.cfg.Timeout),
		}
	}
	var dial *net.OpError
	if errors.As(err, &dial) {
		return &commentator.Error{
			Code: codeUnreachable, Err: o.hideKey(err),
			Message: fmt.Sprintf("the model server %s can't be reached; check OPENAI_BASE_URL", o.server),
		}
	}
	return &commentator.Error{
		Code: codeUnavailable, Err: o.hideKey(err),
		Message: fmt.Sprintf("the answer of model server %s can't be read", o.server),
	}
}

// serverError says what an HTTP status of the model server means.
func (o *OpenAI) serverError(model string, answer *statusError) error {
	e := &commentator.Error{Final: true, Err: o.hideKey(answer)}
	switch {
	case answer.status == http.StatusUnauthorized:
		e.Code, e.Message = codeUnauthorized, fmt.Sprintf("model server %s refused the key; check OPENAI_API_KEY", o.server)
	case answer.status == http.StatusForbidden:
		e.Code, e.Message = codeForbidden, fmt.Sprintf("the key may not use model %s at %s; allow it there, or set MODEL_STAGE_A and MODEL_STAGE_B to others", model, o.server)
	case answer.status == http.StatusNotFound:
		e.Code, e.Message = codeNotFound, fmt.Sprintf("model server %s knows no model %s; check MODEL_STAGE_A, MODEL_STAGE_B and OPENAI_BASE_URL", o.server, model)
	case answer.code == "context_length_exceeded":
		e.Code, e.Message = codeContextLength, fmt.Sprintf("the page is too long for model %s; choose one with a larger context", model)
	case answer.code == "insufficient_quota":
		e.Final = false
		e.Code, e.Message = codeQuota, fmt.Sprintf("the account at %s has no quota left; check its billing", o.server)
	case answer.status == http.StatusTooManyRequests:
		e.Final = false
		e.Code, e.Message = codeRateLimited, fmt.Sprintf("model server %s limits the rate of calls", o.server)
	case answer.status == http.StatusRequestTimeout || answer.status == http.StatusConflict || answer.status >= 500:
		e.Final = false
		e.Code, e.Message = codeUnavailable, fmt.Sprintf("model server %s is in trouble", o.server)
	default:
		e.Code, e.Message = codeBadRequest, fmt.Sprintf("model server %s refused the request for model %s", o.server, model)
	}
	return e
}

// badOutput is the error for an answer that can't be used. Models are not deterministic:
// another attempt may do better.
func badOutput(model, problem string) error {
	return &commentator.Error{Code: codeBadOutput, Message: fmt.Sprintf("model %s gave an answer that can't be used: %s", model, problem)}
}

// hideKey takes the key out of an error's text, because servers quote it.
func (o *OpenAI) hideKey(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), o.cfg.APIKey, "[key]"))
}
