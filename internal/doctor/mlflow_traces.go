package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/pause"
)

// defaultExperiment is the experiment that each MLflow has from the start.
const defaultExperiment = "0"

// trial is the experiment that something is tried in: the one that jobs go to or, while that is
// not there, MLflow's own. Making it is left to the Collector: its name could not be given back.
func (p *Patient) trial(ctx context.Context) (e mlflow.Experiment, note string, err error) {
	e, err = p.theExperiment(ctx)
	if !mlflow.IsCode(err, mlflow.CodeNotFound) {
		return e, "", err
	}
	e, err = p.MLflow.GetExperiment(ctx, defaultExperiment)
	return e, fmt.Sprintf(", tried in experiment %s, since %s is not there yet", e.Name, p.Experiment), err
}

// attempts and gap bound how long a span may take to be seen.
const (
	attempts = 20
	gap      = 100 * time.Millisecond
)

func probeTraces(ctx context.Context, p *Patient) Finding {
	e, note, err := p.trial(ctx)
	if err != nil {
		return skip("there is no experiment to try it in: %v", err)
	}
	id := random(16)
	body, err := probeSpan(id, p.Now())
	if err != nil {
		return skip("the span could not be made: %v", err)
	}
	traceID := "tr-" + hex.EncodeToString(id)
	if err := p.MLflow.ExportTraces(ctx, e.ID, "", body); err != nil {
		return p.refusedTrace(err)
	}
	for n := 0; ; n++ {
		var held mlflow.TraceInfo
		if held, err = p.MLflow.GetTraceInfo(ctx, traceID); err == nil && held.Location.Experiment.ID != e.ID {
			err = fmt.Errorf("it is in experiment %s", held.Location.Experiment.ID)
		}
		if err == nil || n == attempts || pause.For(ctx, gap) != nil {
			break
		}
	}
	// Also after an error: what cannot be read may be there.
	removed, removeErr := p.MLflow.DeleteTraces(context.WithoutCancel(ctx), e.ID, traceID)
	wrote := fmt.Sprintf("trace %s, removed again", traceID)
	if removeErr == nil && removed == 0 {
		removeErr = errors.New("MLflow had none to remove")
	}
	if removeErr != nil {
		wrote = fmt.Sprintf("trace %s, which could not be removed: %v", traceID, removeErr)
	}
	switch {
	case err != nil:
		return Finding{
			Status: Fail, Found: fmt.Sprintf("it took a span%s, and has no such trace: %v", note, err), Wrote: wrote,
			Means: "Traces are accepted and lost.",
			Fix:   "Let MLFLOW_TRACKING_URI name MLflow itself: what takes the spans keeps them elsewhere. A file store keeps none.",
		}
	case removeErr != nil:
		return Finding{
			Status: Warn, Found: "it takes traces" + note + ", and did not remove one", Wrote: wrote,
			Means: "A trace doctor of one span stays in the experiment; retention does not work with these credentials.",
			Fix:   "Let the user of MLFLOW_TRACKING_URI delete traces (permission MANAGE), or remove it in the UI.",
		}
	}
	return Finding{Status: OK, Found: fmt.Sprintf("it took a span for experiment %s and gave its trace back%s", e.Name, note), Wrote: wrote}
}

func (p *Patient) refusedTrace(err error) Finding {
	f := Finding{
		Found: fmt.Sprintf("it refuses a span: %v", err), Means: "Runs are written, traces are not.",
		Fix: "Look at MLflow's own log.",
	}
	var e *mlflow.Error
	if !errors.As(err, &e) {
		return p.traceless(f)
	}
	switch {
	case e.NoRoute():
		f.Fix = "Upgrade MLflow to 3.7 or later, and let it run on uvicorn: with --gunicorn-opts or --waitress-opts it has no /v1/traces. A proxy has to pass /v1/traces on too."
	case e.Status == http.StatusUnauthorized:
		f.Fix = "MLflow's log-in takes user and password on /v1/traces, no token, and no other letters than those of ASCII in them: write such ones into MLFLOW_TRACKING_URI."
	case e.Status == http.StatusForbidden:
		f.Fix = "Give the user of MLFLOW_TRACKING_URI the permission EDIT on the experiment."
	case e.Status == http.StatusNotImplemented:
		f.Fix = "Move MLflow from files to a database: they hold no traces."
	}
	return p.traceless(f)
}

// probeSpan is a request with one span, the root of a trace of its own.
func probeSpan(traceID []byte, now time.Time) ([]byte, error) {
	end := uint64(now.UnixNano()) // after 1970
	text := func(s string) *common.AnyValue {
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
	}
	return proto.Marshal(&collectortrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{{Key: "service.name", Value: text("mlflowctl doctor")}}},
		ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{
			TraceId: traceID, SpanId: random(8), Name: "doctor",
			StartTimeUnixNano: end - uint64(time.Millisecond), EndTimeUnixNano: end,
			Status: &trace.Status{Code: trace.Status_STATUS_CODE_OK},
		}}}},
	}}})
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
