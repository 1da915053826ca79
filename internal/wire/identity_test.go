package wire_test

import (
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/wire"
)

func TestJobIdentityVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range wire.Vectors {
		trace, span := wire.JobIdentity(v.Store, v.Job, time.UnixMicro(v.CreatedMicros))
		if trace.String() != v.Trace || span.String() != v.Span {
			t.Errorf("JobIdentity(%s, %d, %d µs) = %s, %s; want %s, %s",
				v.Store, v.Job, v.CreatedMicros, trace, span, v.Trace, v.Span)
		}
		if seen[v.Trace] {
			t.Errorf("trace id %s belongs to two vectors", v.Trace)
		}
		seen[v.Trace] = true
	}
}

func TestKeysAreMadeOfIdentities(t *testing.T) {
	v := wire.Vectors[1]
	trace, span := wire.JobIdentity(v.Store, v.Job, time.UnixMicro(v.CreatedMicros))
	for _, c := range []struct{ got, want string }{
		{wire.JobKey(trace), "60833a5bfece8cb16dedccfd8a783fa5"},
		{wire.StageKey(trace, span), "60833a5bfece8cb16dedccfd8a783fa5-6083ad089d0e854f"},
		{wire.MLflowTraceID(trace), "tr-60833a5bfece8cb16dedccfd8a783fa5"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestEvaluationIdentityVector(t *testing.T) {
	v := wire.EvaluationVector
	if suite, _ := wire.EvaluationIdentity(v.Evaluation); suite.String() != v.Suite {
		t.Errorf("the suite's trace id is %s, want %s", suite, v.Suite)
	}
	trace, span := wire.ExampleIdentity(v.Evaluation, v.Example, v.Repetition)
	if trace.String() != v.Trace || span.String() != v.Span {
		t.Errorf("ids of the try are %s, %s; want %s, %s", trace, span, v.Trace, v.Span)
	}
	if other, _ := wire.ExampleIdentity(v.Evaluation, v.Example, v.Repetition+1); other == trace {
		t.Error("two repetitions have one trace id")
	}
}
