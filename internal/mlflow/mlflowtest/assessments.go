package mlflowtest

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

func (s *Server) assessmentRoutes() {
	const path = "/api/3.0/mlflow/traces/{id}/assessments"
	type body struct {
		Assessment mlflow.Assessment `json:"assessment"`
		Mask       string            `json:"update_mask"`
	}
	// find gives the trace of a request and the place of the assessment in it, -1: none.
	find := func(r *http.Request) (*traceState, int, error) {
		t := s.traces[r.PathValue("id")]
		if t == nil {
			return nil, -1, notFound("Trace with ID '%s' not found.", r.PathValue("id"))
		}
		return t, slices.IndexFunc(t.info.Assessments, func(a mlflow.Assessment) bool { return a.ID == r.PathValue("assessment") }), nil
	}
	missing := func(r *http.Request) error {
		return notFound("Assessment with ID '%s' not found for trace '%s'", r.PathValue("assessment"), r.PathValue("id"))
	}
	handle(s, "POST "+path, func(in body, r *http.Request) (any, error) {
		t, _, err := find(r)
		if err != nil {
			return nil, err
		}
		for _, o := range s.traces { // ids are unique on the server
			if slices.ContainsFunc(o.info.Assessments, func(a mlflow.Assessment) bool { return a.ID == in.Assessment.ID }) {
				if s.OldTraces {
					return nil, failure{http.StatusBadRequest, "BAD_REQUEST", "(sqlite3.IntegrityError) UNIQUE constraint failed: assessments.assessment_id\n[SQL: INSERT INTO assessments (assessment_id, …"}
				}
				return nil, failure{http.StatusInternalServerError, "INTERNAL_ERROR", "Failed to create assessment for trace '" + r.PathValue("id") + "' due to a constraint violation."}
			}
		}
		t.info.Assessments = append(t.info.Assessments, in.Assessment)
		return in, nil
	})
	handle(s, "PATCH "+path+"/{assessment}", func(in body, r *http.Request) (any, error) {
		t, at, err := find(r)
		if err != nil || at < 0 {
			return nil, cmp.Or(err, missing(r))
		}
		a := &t.info.Assessments[at]
		a.Feedback, a.Expectation, a.Why = in.Assessment.Feedback, in.Assessment.Expectation, in.Assessment.Why
		a.Metadata = maps.Clone(a.Metadata)
		maps.Copy(a.Metadata, in.Assessment.Metadata)
		a.Updated = time.UnixMilli(s.tick()).UTC().Format("2006-01-02T15:04:05.000Z")
		return body{Assessment: *a}, nil
	})
	handle(s, "GET "+path+"/{assessment}", func(_ struct{}, r *http.Request) (any, error) {
		t, at, err := find(r)
		if err != nil || at < 0 {
			return nil, cmp.Or(err, missing(r))
		}
		return body{Assessment: t.info.Assessments[at]}, nil
	})
	handle(s, "DELETE "+path+"/{assessment}", func(_ struct{}, r *http.Request) (any, error) {
		t, at, err := find(r)
		if err == nil && at >= 0 {
			t.info.Assessments = slices.Delete(t.info.Assessments, at, at+1)
		}
		return nil, err
	})
}
