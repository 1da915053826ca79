package reconcile

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
)

// MLflow answers with an error when it was told of a trace whose spans it does not have: that
// is a trace without spans, and no reason to compare nothing.
func TestATraceWhoseSpansNeverCameHasNone(t *testing.T) {
	const id = "tr-0123456789abcdef0123456789abcdef"
	refuse := `{"error_code": "INTERNAL_ERROR", "message": "Trace data not stored in tracking store"}`
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/3.0/mlflow/traces/get", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, refuse)
	})
	mux.HandleFunc("GET /api/3.0/mlflow/traces/"+id, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"trace": {"trace_info": {"trace_id": "`+id+`", "state": "OK", "request_time": "2026-11-26T05:27:51.202Z",
			"execution_duration": "6.243s", "trace_location": {"mlflow_experiment": {"experiment_id": "3"}}}}}`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	client, err := mlflow.New(mlflow.Config{Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := &Server{client: client, experiments: map[string]mlflow.Experiment{"3": {ID: "3", Name: "team"}}}
	got, err := s.trace(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got == nil || got.State != "OK" || got.Experiment != "team" || got.DurationMS != 6243 || len(got.Spans) != 0 {
		t.Errorf("%+v", got)
	}
	refuse = `{"error_code": "INTERNAL_ERROR", "message": "the database is gone"}`
	if _, err := s.trace(t.Context(), id); err == nil {
		t.Error("any other error is taken for a trace without spans")
	}
}
