package telemetry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// Try says which repetition of which example of which evaluation.
type Try struct {
	Evaluation string // UUID
	Example    string
	Repetition int       // the first is 1
	SuiteStart time.Time // when the evaluation started
}

// Example is a try that is being made, and the buffer of its detail spans. A nil Example is off.
type Example struct {
	try   Try
	stage *Stage
}

// StartExample starts a try. Detail spans that are started from the returned context leave with
// it. When telemetry is off it returns ctx itself and nil.
func (p *Provider) StartExample(ctx context.Context, t Try) (context.Context, *Example) {
	if p == nil || p.traces == nil {
		return ctx, nil
	}
	traceID, spanID := wire.ExampleIdentity(t.Evaluation, t.Example, t.Repetition)
	st := &Stage{provider: p, id: trace.SpanID(spanID), full: true, beside: newBeside(p.rec, p.cfg.Logger)}
	st.detailAttrs = p.rec.attributes(
		attribute.String(wire.AttrEvalID, t.Evaluation),
		attribute.String(wire.AttrJobDetail, wire.DetailFull),
		attribute.String(wire.AttrTier, wire.TierDetail),
	).option()
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(traceID), SpanID: st.id, TraceFlags: trace.FlagsSampled,
	}))
	return context.WithValue(ctx, stageKey{}, st), &Example{try: t, stage: st}
}

// Verdict is what a scorer says of a try, or what the right answer would be.
type Verdict struct {
	Name  string
	Value any    // float64, bool or string
	Why   string // may be empty
	// Judge names the model that judged, or else empty.
	Judge string
	// Expected says that Value is the right answer, which a person knows.
	Expected bool
}

// Plain returns a text of Slack as people read it, and LaidOut as Markdown. Both mask it before, where
// secrets still look like ones, and are what belongs in ExampleEnd. Without telemetry they return nothing.
func (e *Example) Plain(s string) string {
	if e == nil {
		return ""
	}
	return e.stage.provider.plain(s)
}

// LaidOut is described at Plain.
func (e *Example) LaidOut(s string) string {
	if e == nil {
		return ""
	}
	return e.stage.provider.laidOut(s)
}

// ExampleEnd is what is known when a try ends.
type ExampleEnd struct {
	Start, End    time.Time
	Input, Output any // as JSON
	Stages        map[commentator.Stage]commentator.Analysis
	Verdicts      []Verdict
	Passed        bool
	// ErrorType and Failure are empty when a comment was made.
	ErrorType, Failure string
}

// End ends the try and returns the one message with its spans, for the transaction that stores
// what it came to. Only the first call has an effect.
func (e *Example) End(end ExampleEnd) (Message, error) {
	if e == nil {
		return Message{}, nil
	}
	p := e.stage.provider
	details, ok := e.stage.close(end.End)
	if !ok {
		return Message{}, nil
	}
	suite, _ := wire.EvaluationIdentity(e.try.Evaluation)
	a := attributes{}
	a.text(wire.AttrEvalExample, e.try.Example)
	a.count(wire.AttrEvalRepetition, e.try.Repetition)
	a.text(wire.AttrRunTraceID, suite.String())
	a.text(wire.AttrRunTraceName, wire.SpanEvalSuite)
	a.text(wire.AttrRunName, e.try.Example)
	a.text(wire.AttrRunTagPrefix+"example", e.try.Example)
	a.text(wire.AttrRunTagPrefix+"repetition", strconv.Itoa(e.try.Repetition))
	a.text(wire.AttrRunTagPrefix+"passed", strconv.FormatBool(end.Passed))
	a.text(wire.AttrErrorType, end.ErrorType)
	a.text(wire.AttrErrorMessage, end.Failure)
	stageA, stageB := end.Stages[commentator.StageA], end.Stages[commentator.StageB] // zero: not reached
	a.analysis(ofStageA, stageA, stageA.Usage)
	a.analysis(ofStageB, stageB, stageB.Usage)
	a.usage(stageA.Usage.Add(stageB.Usage))
	var texts clean
	if p.cfg.CaptureContent {
		texts.addJSON(p.rec, wire.AttrInput, end.Input)
		texts.addJSON(p.rec, wire.AttrOutput, end.Output)
	}
	verdicts := make([]clean, 0, len(end.Verdicts))
	for _, v := range end.Verdicts {
		if !p.cfg.CaptureContent {
			v.Why = "" // it may quote the comment
		}
		verdicts = append(verdicts, p.rec.attributes(v.attributes()...))
	}
	traceID, spanID := wire.ExampleIdentity(e.try.Evaluation, e.try.Example, e.try.Repetition)
	return p.emitOfEvaluation(e.try.Evaluation, e.try.SuiteStart, chosenIDs{trace.TraceID(traceID), trace.SpanID(spanID)}, closedSpan{
		name: wire.SpanEvalExample, start: end.Start, end: end.End, attrs: a, texts: texts, verdicts: verdicts,
		failed: end.Failure != "", failure: end.Failure, details: details,
	})
}

// Dataset is what an evaluation is about.
type Dataset struct {
	Name   string
	Digest string // tells its versions apart; MLflow keeps 36 characters
}

// SuiteEnd is what an evaluation came to.
type SuiteEnd struct {
	Evaluation string // UUID
	Start, End time.Time
	Dataset    Dataset
	Params     map[string]string
	Tags       map[string]string
	Metrics    map[string]float64
	Prompts    map[commentator.Stage]commentator.Analysis // of which name and hash of the prompt count
	Results    []byte                                     // eval_results.json
	Failure    string                                     // why it could not be brought to its end; else empty
}

// SuiteEnded returns the message with the span of an evaluation, for the transaction that notes
// its end.
func (p *Provider) SuiteEnded(s SuiteEnd) (Message, error) {
	if p == nil || p.traces == nil {
		return Message{}, nil
	}
	traceID, spanID := wire.EvaluationIdentity(s.Evaluation)
	a := attributes{}
	a.text(wire.AttrRunKind, wire.RunKindJob)
	a.text(wire.AttrRunName, wire.SpanEvalSuite)
	a.text(wire.AttrRunTagPrefix+wire.TagRunType, wire.RunTypeEvaluate)
	a.text(wire.AttrRunTagPrefix+wire.AttrEvalID, s.Evaluation)
	a.text(wire.AttrRunDatasetName, s.Dataset.Name)
	a.text(wire.AttrRunDatasetHash, s.Dataset.Digest)
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		a.text(wire.AttrRunParamPrefix+name, s.Params[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
		a.text(wire.AttrRunTagPrefix+name, s.Tags[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Metrics)) {
		a.add(attribute.Float64(wire.AttrRunMetricPrefix+name, s.Metrics[name]))
	}
	a.prompt(ofStageA, s.Prompts[commentator.StageA])
	a.prompt(ofStageB, s.Prompts[commentator.StageB])
	a.text(wire.AttrErrorMessage, s.Failure)
	results := s.Results
	if !p.cfg.CaptureContent {
		var err error
		if results, err = outlined(results, p.rec.mask); err != nil {
			return Message{}, fmt.Errorf("encode artifact %s: %w", wire.ArtifactEvalResults, err)
		}
	}
	return p.emitOfEvaluation(s.Evaluation, s.Start, chosenIDs{trace.TraceID(traceID), trace.SpanID(spanID)}, closedSpan{
		name: wire.SpanEvalSuite, start: s.Start, end: s.End, attrs: a, failed: s.Failure != "", failure: s.Failure,
		artifacts: []artifact{p.rec.newArtifact(wire.ArtifactEvalResults, mediaJSON, p.rec.mask(string(results)))},
	})
}

// emitOfEvaluation returns the message with a root: that of an evaluation, or of a try.
func (p *Provider) emitOfEvaluation(evaluation string, suiteStart time.Time, ids chosenIDs, s closedSpan) (Message, error) {
	own := attributes{
		attribute.String(wire.AttrTier, wire.TierEvaluation),
		attribute.String(wire.AttrEvalID, evaluation),
		attribute.Int64(wire.AttrStartedAt, suiteStart.UnixMicro()),
	}
	if s.name == wire.SpanEvalExample {
		own.text(wire.AttrJobDetail, wire.DetailFull)
	}
	msg, err := p.emit(context.WithValue(context.Background(), chosenIDsKey{}, ids), s, own...)
	if err != nil {
		return Message{}, fmt.Errorf("record evaluation %s: %w", evaluation, err)
	}
	return msg, nil
}

// attributes are those of the event gen_ai.evaluation.result.
func (v Verdict) attributes() []attribute.KeyValue {
	a := attributes{attribute.String(wire.AttrEvaluationName, v.Name)}
	switch value := v.Value.(type) {
	case bool:
		a.add(attribute.Bool(wire.AttrEvaluationValue, value))
	case float64:
		a.add(attribute.Float64(wire.AttrEvaluationValue, value))
	case string:
		a.text(wire.AttrEvaluationLabel, value)
	}
	a.text(wire.AttrEvaluationWhy, v.Why)
	switch {
	case v.Expected:
		a.add(attribute.Bool(wire.AttrEvaluationExpected, true))
		a.text(wire.AttrEvaluationSourceType, wire.SourceHuman)
		a.text(wire.AttrEvaluationSourceID, "dataset")
	case v.Judge != "":
		a.text(wire.AttrEvaluationSourceType, wire.SourceJudge)
		a.text(wire.AttrEvaluationSourceID, v.Judge)
	default:
		a.text(wire.AttrEvaluationSourceType, wire.SourceCode)
		a.text(wire.AttrEvaluationSourceID, "scorer/"+v.Name)
	}
	return a
}
