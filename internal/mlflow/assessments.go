package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Assessment is a verdict on a trace, or on one of its spans.
type Assessment struct {
	ID       string           `json:"assessment_id,omitempty"` // of the server when empty
	Name     string           `json:"assessment_name"`
	TraceID  string           `json:"trace_id"` // "tr-" + 32 hex digits
	SpanID   string           `json:"span_id,omitempty"`
	Source   AssessmentSource `json:"source"`
	Feedback *Feedback        `json:"feedback,omitempty"`
	// Expectation is what the right answer would be; an assessment has it or Feedback.
	Expectation *Feedback         `json:"expectation,omitempty"`
	Why         string            `json:"rationale,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Created     string            `json:"create_time,omitempty"`      // RFC 3339, ms
	Updated     string            `json:"last_update_time,omitempty"` // likewise; of the server after an update
}

// AssessmentSource says who judges.
type AssessmentSource struct {
	Type string `json:"source_type"` // HUMAN, CODE or LLM_JUDGE
	ID   string `json:"source_id,omitempty"`
}

// Feedback is the verdict: any JSON value.
type Feedback struct {
	Value json.RawMessage `json:"value"`
}

type assessmentBody struct {
	Assessment Assessment `json:"assessment"`
	Mask       string     `json:"update_mask,omitempty"`
}

func assessmentPath(traceID, id string) string {
	path := api3 + "/traces/" + url.PathEscape(traceID) + "/assessments"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	return path
}

// CreateAssessment adds an assessment to a trace that exists. One with an id that is taken is
// an error, see AssessmentExists.
func (c *Client) CreateAssessment(ctx context.Context, a Assessment) error {
	return c.call(ctx, http.MethodPost, assessmentPath(a.TraceID, ""), nil, assessmentBody{Assessment: a}, nil)
}

// UpdateAssessment replaces verdict, reason and metadata of an assessment.
func (c *Client) UpdateAssessment(ctx context.Context, a Assessment) error {
	mask := "feedback,rationale,metadata"
	if a.Expectation != nil {
		mask = "expectation,metadata"
	}
	in := assessmentBody{Assessment: a, Mask: mask}
	return c.call(ctx, http.MethodPatch, assessmentPath(a.TraceID, a.ID), nil, in, nil)
}

// GetAssessment reads one assessment.
func (c *Client) GetAssessment(ctx context.Context, traceID, id string) (Assessment, error) {
	var out assessmentBody
	err := c.call(ctx, http.MethodGet, assessmentPath(traceID, id), nil, nil, &out)
	return out.Assessment, err
}

// DeleteAssessment removes an assessment; one that is not there is no error.
func (c *Client) DeleteAssessment(ctx context.Context, traceID, id string) error {
	return c.call(ctx, http.MethodDelete, assessmentPath(traceID, id), nil, struct{}{}, nil)
}

// AssessmentExists reports whether MLflow refused an assessment because it has one with that
// id. From 3.14 on it says so in its own words, with a status that looks like a fault of its
// own; before that it passes on what the database said.
func AssessmentExists(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	says := func(text string) bool { return strings.Contains(e.Message, text) }
	return says("due to a constraint violation") ||
		says("UNIQUE constraint failed: assessments.") || // SQLite
		says("assessments_pk") || // PostgreSQL, by the name of the constraint
		(says("Duplicate entry") && says("INSERT INTO assessments")) // MySQL
}
