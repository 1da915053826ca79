// Package selection decides what a span means to MLflow: a job, a stage, a message or a
// detail. The decision is a list of OTTL conditions from the exporter's configuration,
// compiled once.
package selection

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// Conditions are OTTL conditions over a span with its resource and scope, such as
//
//	span.attributes["job.tier"] == "lifecycle"
//
// The first that holds decides, in the order feedback, started, stage, job, other stage,
// other job, member; a span for which none holds is a detail. An empty condition never holds.
type Conditions struct {
	Feedback string
	Started  string
	Stage    string
	Job      string
	// OtherStage and OtherJob select stages and jobs that are described by mappings of their
	// own.
	OtherStage string
	OtherJob   string
	// Member selects roots of traces that belong to the run of another trace.
	Member string
	// Trace says which spans, of whatever kind, belong into MLflow's trace store.
	Trace string
}

// Selector classifies spans. It is safe for concurrent use.
type Selector struct {
	kinds []kindCondition
	trace *ottl.Condition[*ottlspan.TransformContext]
}

type kindCondition struct {
	kind      reduce.Kind
	other     bool
	condition *ottl.Condition[*ottlspan.TransformContext]
}

// New compiles the conditions. The error names every one that does not compile by its key.
func New(c Conditions, set component.TelemetrySettings) (*Selector, error) {
	parser, err := ottlspan.NewParser(functions(), set, ottlspan.EnablePathContextNames())
	if err != nil {
		return nil, fmt.Errorf("create OTTL parser: %w", err)
	}
	var errs []error
	compile := func(key, text string) *ottl.Condition[*ottlspan.TransformContext] {
		if text == "" {
			return nil
		}
		condition, err := parser.ParseCondition(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("`mapping::%s::condition`: %w", key, err))
		}
		return condition
	}
	s := &Selector{}
	for _, k := range []struct {
		key   string
		kind  reduce.Kind
		other bool
		text  string
	}{
		{"feedback", reduce.Feedback, false, c.Feedback},
		{"started", reduce.Started, false, c.Started},
		{"stage", reduce.Stage, false, c.Stage},
		{"job", reduce.Job, false, c.Job},
		{"other_stage", reduce.Stage, true, c.OtherStage},
		{"other_job", reduce.Job, true, c.OtherJob},
		{"member", reduce.Member, false, c.Member},
	} {
		if condition := compile(k.key, k.text); condition != nil {
			s.kinds = append(s.kinds, kindCondition{k.kind, k.other, condition})
		}
	}
	s.trace = compile("trace", c.Trace)
	return s, errors.Join(errs...)
}

// Validate reports the conditions that do not compile.
func (c Conditions) Validate(set component.TelemetrySettings) error {
	_, err := New(c, set)
	return err
}

// functions are OTTL's converters, and those that speak of spans.
func functions() map[string]ottl.Factory[*ottlspan.TransformContext] {
	all := ottlfuncs.StandardConverters[*ottlspan.TransformContext]()
	isRoot := ottlfuncs.NewIsRootSpanFactory()
	all[isRoot.Name()] = isRoot
	return all
}

// Classify returns every span of a batch with what it means. The result refers to td. A
// condition that fails on a span, for instance because an attribute has another type than
// it expects, does not hold for it; Classify joins such errors and goes on.
func (s *Selector) Classify(ctx context.Context, td ptrace.Traces) ([]reduce.Span, error) {
	spans := make([]reduce.Span, 0, td.SpanCount())
	var errs []error
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				tc := ottlspan.NewTransformContext(rs, ss, span)
				what, inTrace, err := s.classify(ctx, tc)
				tc.Close()
				if err != nil {
					errs = append(errs, fmt.Errorf("classify span %q of trace %s: %w", span.Name(), span.TraceID(), err))
				}
				spans = append(spans, reduce.Span{
					Kind: what.kind, Other: what.other, InTrace: inTrace, Resource: rs.Resource(), Scope: ss.Scope(), Span: span,
				})
			}
		}
	}
	return spans, errors.Join(errs...)
}

func (s *Selector) classify(ctx context.Context, tc *ottlspan.TransformContext) (what kindCondition, inTrace bool, err error) {
	var errs []error
	holds := func(c *ottl.Condition[*ottlspan.TransformContext]) bool {
		ok, err := c.Eval(ctx, tc)
		if err != nil {
			errs = append(errs, err)
		}
		return ok && err == nil
	}
	for _, k := range s.kinds {
		if holds(k.condition) {
			what = k
			break
		}
	}
	inTrace = s.trace != nil && holds(s.trace)
	return what, inTrace, errors.Join(errs...)
}
