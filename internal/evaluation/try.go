package evaluation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// attempt is a try that is being made.
type attempt struct {
	*runner
	task

	steps   map[commentator.Stage]Step
	lost    map[commentator.Stage]commentator.Analysis // what attempts at a stage used that failed
	seconds float64
	facts   commentator.Facts
	comment commentator.Comment
	gates   commentator.GateReport
	text    string
	err     error
}

// try makes a comment on an example and scores it. It returns an error when it was interrupted, or
// when it makes no sense to go on.
func (r *runner) try(ctx context.Context, t task) error {
	steps, err := r.Store.Steps(ctx, r.begun.ID, t.example.ID, t.repetition)
	if err != nil {
		return err
	}
	start := r.Now()
	inside, example := r.Telemetry.StartExample(ctx, telemetry.Try{
		Evaluation: r.begun.ID, Example: t.example.ID, Repetition: t.repetition, SuiteStart: r.begun.StartedAt,
	})
	a := &attempt{runner: r, task: t, steps: steps, lost: map[commentator.Stage]commentator.Analysis{}}
	a.make(inside)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.useless(); err != nil {
		return err
	}
	if isFatal(a.err) {
		return &FatalError{a.err}
	}
	out, err := a.judged(inside)
	if err != nil {
		return err
	}
	if err := r.useless(); err != nil { // the scorers have asked too
		return err
	}
	if r.MaxCostUSD > 0 && out.CostUSD == nil {
		return &FatalError{errors.New("the cost limit cannot be kept: a model has no price; name one that has, or leave --max-cost out")}
	}
	msg, err := example.End(a.end(example, out, start, r.Now()))
	if err != nil {
		return err
	}
	if err := r.Store.SaveTry(context.WithoutCancel(ctx), r.begun.ID, out, msg, r.Now()); err != nil {
		return err
	}
	r.Telemetry.Notify()
	r.add(out)
	return r.hopeless()
}

// make takes the example through the stages, as far as they are not known from an earlier process.
func (a *attempt) make(ctx context.Context) {
	recorded := a.example.Recorded
	_, span := telemetry.StartDetail(ctx, string(commentator.StageRetrieval), trace.SpanKindInternal)
	span.Set(attribute.String(wire.AttrRetrievalAdapter, recorded.Adapter), attribute.String(wire.AttrRetrievalCoverage, string(recorded.Coverage)),
		attribute.Int(wire.AttrSnippetCount, len(recorded.Snippets)))
	describe(ctx, span, map[string]string{"url": a.example.URL}, recorded)
	span.End(nil)

	a.err = a.stage(ctx, commentator.StageA, &a.facts, recorded, func(ctx context.Context) (any, commentator.Analysis, error) {
		return both(a.Analyser.ExtractFacts(ctx, recorded))
	})
	if a.err != nil {
		return
	}
	a.err = a.stage(ctx, commentator.StageB, &a.comment, a.facts, func(ctx context.Context) (any, commentator.Analysis, error) {
		return both(a.Analyser.Compose(ctx, recorded, a.facts))
	})
	if a.err != nil {
		return
	}
	_, span = telemetry.StartDetail(ctx, string(commentator.StageQualityGates), trace.SpanKindInternal)
	a.gates = a.Gates(a.comment, a.Themes, a.Limits)
	a.text = a.Render(a.comment)
	span.Set(attribute.Int(wire.AttrGateTotal, a.gates.Total), attribute.Int(wire.AttrGateFailures, len(a.gates.Failures)), attribute.Bool(wire.AttrGatePassed, a.gates.Passed))
	describe(ctx, span, a.comment, a.gates)
	span.End(nil)
}

func both[T any](v T, a commentator.Analysis, err error) (any, commentator.Analysis, error) {
	return v, a, err
}

// stage makes a stage, or takes what an earlier process paid for.
func (a *attempt) stage(ctx context.Context, stage commentator.Stage, into any, input any, work func(context.Context) (any, commentator.Analysis, error)) error {
	if st, ok := a.steps[stage]; ok {
		a.seconds += st.Seconds
		if err := json.Unmarshal(st.Result, into); err != nil {
			return fmt.Errorf("read result of %s: %w", stage, err)
		}
		return nil
	}
	for retry := 0; ; retry++ {
		result, analysis, seconds, err := a.once(ctx, stage, input, work)
		if err == nil {
			st := Step{Result: result, Analysis: analysis, Seconds: seconds}
			if err := a.Store.SaveStep(context.WithoutCancel(ctx), a.begun.ID, a.example.ID, a.repetition, stage, st); err != nil {
				return err
			}
			a.seconds += seconds
			a.steps[stage] = st
			return json.Unmarshal(result, into)
		}
		lost := a.lost[stage]
		usage := lost.Usage.Add(analysis.Usage)
		lost = analysis
		lost.Usage = usage
		a.lost[stage] = lost
		if !a.again(ctx, retry, err) {
			a.seconds += seconds
			return err
		}
		if err := a.Wait(ctx, retry+1); err != nil {
			return err
		}
	}
}

// again reports whether a model is asked once more after so many retries, the last of which ended in err.
func (a *attempt) again(ctx context.Context, retries int, err error) bool {
	return retries < a.Retries && kindOf(err) == ErrorInfrastructure && !commentator.IsFinal(err) && ctx.Err() == nil && a.useless() == nil
}

// once makes one attempt at a stage.
func (a *attempt) once(ctx context.Context, stage commentator.Stage, input any, work func(context.Context) (any, commentator.Analysis, error)) (json.RawMessage, commentator.Analysis, float64, error) {
	inside, span := telemetry.StartDetail(ctx, string(stage), trace.SpanKindInternal)
	longer := func() time.Duration { return 0 }
	if a.Replayed != nil {
		inside, longer = a.Replayed(inside, a.repetition)
	}
	start := a.Now()
	result, analysis, err := work(inside)
	seconds := (a.Now().Sub(start) + longer()).Seconds()
	span.Set(attribute.String(wire.AttrGenAIRequestModel, analysis.Model), attribute.String(wire.AttrPromptName, analysis.PromptName),
		attribute.String(wire.AttrPromptSHA256, analysis.PromptSHA))
	if err != nil {
		describe(ctx, span, input, nil)
		span.End(err)
		return nil, analysis, seconds, err
	}
	describe(ctx, span, input, result)
	span.End(nil)
	text, err := json.Marshal(result)
	return text, analysis, seconds, err
}

// describe gives a span what it was given and what it made of it, when content is recorded.
func describe(ctx context.Context, span telemetry.Detail, input, output any) {
	if !span.Recording() || !telemetry.CaptureContent(ctx) {
		return
	}
	for _, one := range []struct {
		key   string
		value any
	}{{wire.AttrInput, input}, {wire.AttrOutput, output}} {
		if text, err := plainjson.Marshal(one.value); err == nil && one.value != nil {
			span.Set(attribute.String(one.key, string(text)))
		}
	}
}

// judged scores what was made.
func (a *attempt) judged(ctx context.Context) (Try, error) {
	ids, _ := wire.ExampleIdentity(a.begun.ID, a.example.ID, a.repetition)
	out := Try{
		Example: a.example.ID, ExampleHash: a.example.Hash(), Tags: a.example.Tags, Repetition: a.repetition, TraceID: ids.String(),
		Scores: []Score{}, Error: kindOf(a.err), LatencySeconds: a.seconds,
	}
	out.Tokens, out.CostUSD = a.spent()
	if a.err != nil {
		out.Message = a.err.Error()
	}
	if out.Error == ErrorInfrastructure {
		return out, nil
	}
	made := Made{
		Example: a.example, Facts: a.facts, Comment: a.comment, Rendered: a.text, Themes: a.Themes, Limits: a.Limits, Gates: a.gates,
		Err: a.err, LatencySeconds: out.LatencySeconds, CostUSD: out.CostUSD,
	}
	out.Passed = a.err == nil
	for _, s := range a.Scorers {
		score, ok, err := a.score(ctx, s, made)
		if err != nil {
			if ctx.Err() != nil {
				return out, context.Cause(ctx)
			}
			if isFatal(err) {
				return out, &FatalError{err}
			}
			out.Scores, out.Passed, out.Error = []Score{}, false, ErrorInfrastructure
			out.Message = fmt.Sprintf("scorer %s: %v", s.Info().Name, err)
			return out, nil
		}
		if ok {
			out.Scores = append(out.Scores, score)
			out.Passed = out.Passed && (score.Pass || !s.Info().Required)
		}
	}
	return out, nil
}

// score asks a scorer, again when its judge could not be heard.
func (a *attempt) score(ctx context.Context, s Scorer, made Made) (Score, bool, error) {
	for retry := 0; ; retry++ {
		score, ok, err := s.Score(ctx, made)
		if err == nil || !a.again(ctx, retry, err) {
			return score, ok, err
		}
		if err := a.Wait(ctx, retry+1); err != nil {
			return score, false, err
		}
	}
}

// spent is what all calls of the try used and cost.
func (a *attempt) spent() (u commentator.Usage, usd *float64) {
	total, known := 0.0, true
	for _, an := range a.analyses() {
		u = u.Add(an.Usage)
		cost, ok := a.priced(an)
		total, known = total+cost, known && ok
	}
	if !known {
		return u, nil
	}
	return u, &total
}

// analyses are what the stages used, attempts that failed included.
func (a *attempt) analyses() map[commentator.Stage]commentator.Analysis {
	out := map[commentator.Stage]commentator.Analysis{}
	for stage, an := range a.lost {
		out[stage] = an
	}
	for stage, st := range a.steps {
		an := st.Analysis
		an.Usage = an.Usage.Add(out[stage].Usage)
		out[stage] = an
	}
	return out
}

// expectedTheme is the expectation of an example. MLflow counts verdicts and expectations of one
// name together, so it is not called as the scorer is.
const expectedTheme = "theme"

// end is what telemetry is told of the try, with texts as e shows them.
func (a *attempt) end(e *telemetry.Example, t Try, start, end time.Time) telemetry.ExampleEnd {
	out := telemetry.ExampleEnd{
		Start: start, End: end, Stages: a.analyses(), Passed: t.Passed, Failure: t.Message,
		Input:  map[string]string{"url": a.example.URL, "slack_text": e.Plain(a.example.SlackText)},
		Output: map[string]any{"comment": e.LaidOut(a.text), "passed": t.Passed},
	}
	if t.Error != ErrorNone {
		out.ErrorType = string(t.Error)
	}
	units := map[string]ScorerInfo{}
	for _, s := range a.Scorers {
		units[s.Info().Name] = s.Info()
	}
	for _, s := range t.Scores {
		v := telemetry.Verdict{Name: s.Name, Value: s.Value, Why: s.Reason, Judge: units[s.Name].Judge}
		if units[s.Name].YesNo {
			v.Value = s.Pass
		}
		out.Verdicts = append(out.Verdicts, v)
	}
	if theme := a.example.ExpectedTheme; theme != "" {
		out.Verdicts = append(out.Verdicts, telemetry.Verdict{Name: expectedTheme, Value: theme, Expected: true})
	}
	return out
}
