package evaluation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/decimal"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// Config holds what an evaluation works with. All fields are required unless they say otherwise.
type Config struct {
	Store     *Store
	Telemetry *telemetry.Provider // nil: off

	Dataset  *Dataset
	Examples []Example // of the dataset, at least one
	Analyser commentator.Analyser
	Scorers  []Scorer
	Themes   []string
	Limits   commentator.GateLimits
	Gates    func(commentator.Comment, []string, commentator.GateLimits) commentator.GateReport
	Render   func(commentator.Comment) string

	// AnalyserKind is AnalyserOffline, AnalyserCassette or AnalyserLive; Prompts and Models are what
	// the analyser uses.
	AnalyserKind string
	Prompts      []PromptRef
	Models       []ModelRef
	// Settings are what else decides what comes out, in words: limits, and how models are asked.
	Settings string
	Revision string // of the program; may be empty

	Repetitions int // at least 1
	Parallel    int // tries at one time, at least 1
	// MaxCostUSD ends the evaluation before the next try would exceed it; 0: no limit.
	MaxCostUSD float64
	// Retries is how often a stage, or a scorer, is tried again whose model could not be heard.
	Retries int
	// Wait waits before such a retry, of which the first is 1.
	Wait func(ctx context.Context, retry int) error
	// Price is what the calls of a stage cost; false: nobody knows.
	Price func(a commentator.Analysis, at time.Time) (usd float64, known bool)
	// Replayed prepares the context of a try at a cassette, and returns how much longer its
	// answers took when they were recorded. Nil: answers take as long as they take.
	Replayed func(ctx context.Context, repetition int) (context.Context, func() time.Duration)
	// Fatal reports what makes it useless to go on, such as an answer that the cassette lacks; nil:
	// nothing does but what FatalError says.
	Fatal func() error
	// Progress is told of each try that has ended, one after the other; nil: nobody wants to know.
	Progress func(Progress)
	Now      func() time.Time
}

// Progress is how far an evaluation is.
type Progress struct {
	Done, Total int // tries
	NotPassed   int // of those that are done
	CostUSD     float64
}

// Run makes an evaluation, or goes on with one that was begun, and returns its results, which are
// stored. When ctx ends, or nothing makes sense any more, it returns an error, and what has been
// paid for is kept: the evaluation can be gone on with.
func Run(ctx context.Context, cfg Config, b Begun) (*Results, error) {
	done, err := cfg.Store.Tries(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	r := &runner{Config: cfg, begun: b}
	for _, t := range done {
		r.spend(t)
		if t.Counts() {
			r.tries = append(r.tries, t)
		} else if err := r.forget(ctx, t); err != nil { // it met nothing but infrastructure, and is made again
			return nil, err
		}
	}
	if err := r.work(ctx); err != nil {
		return nil, err
	}
	return r.finish(ctx)
}

// runner is an evaluation under way.
type runner struct {
	Config
	begun Begun

	mu      sync.Mutex
	tries   []Try
	cost    float64
	dearest float64 // the most that a try cost so far
	flying  int     // tries that are being made
	limited bool    // by the cost limit
}

type task struct {
	example    Example
	repetition int
}

// tasks are the tries that are left. All examples come once before any comes twice, so that an
// evaluation that is ended by its cost says something of all of them.
func (r *runner) tasks() (left []task) {
	type key struct {
		id         string
		repetition int
	}
	done := map[key]bool{}
	for _, t := range r.tries {
		done[key{t.Example, t.Repetition}] = true
	}
	for repetition := 1; repetition <= r.Repetitions; repetition++ {
		for _, e := range r.Examples {
			if !done[key{e.ID, repetition}] {
				left = append(left, task{e, repetition})
			}
		}
	}
	return left
}

// work makes the tries that are left. With a cost limit the first one is made alone, since nobody knows
// yet what one costs.
func (r *runner) work(ctx context.Context) error {
	left := r.tasks()
	for r.MaxCostUSD > 0 && len(left) > 0 && !slices.ContainsFunc(r.tries, Try.Counts) && r.affords() {
		if err := r.try(ctx, left[0]); err != nil {
			return err
		}
		left = left[1:]
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan task)
	var wg sync.WaitGroup
	for range max(1, r.Parallel) {
		wg.Go(func() {
			for t := range queue {
				if err := r.try(ctx, t); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, t := range left {
		if !r.affords() {
			break
		}
		select {
		case queue <- t:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// affords reports whether the cost limit lets another try begin: those under way are taken to cost
// what the dearest one did.
func (r *runner) affords() bool {
	if r.MaxCostUSD == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cost+r.dearest*float64(r.flying+1) <= r.MaxCostUSD {
		r.flying++
		return true
	}
	r.limited = true
	return false
}

func (r *runner) spend(t Try) {
	if t.CostUSD != nil {
		r.cost += *t.CostUSD
		r.dearest = max(r.dearest, *t.CostUSD)
	}
}

// forget removes a try that is made again. Its stages that are kept are not paid for once more: the new
// try has their cost.
func (r *runner) forget(ctx context.Context, t Try) error {
	steps, err := r.Store.Steps(ctx, r.begun.ID, t.Example, t.Repetition)
	if err != nil {
		return err
	}
	for _, st := range steps {
		if usd, known := r.priced(st.Analysis); known && t.CostUSD != nil {
			r.cost -= usd
		}
	}
	return r.Store.ForgetTry(ctx, r.begun.ID, t)
}

// priced is what the calls of a stage cost; without calls it is nothing.
func (r *runner) priced(a commentator.Analysis) (usd float64, known bool) {
	if a.Usage.Calls == 0 {
		return 0, true
	}
	return r.Price(a, r.begun.StartedAt)
}

// add notes a try that has ended.
func (r *runner) add(t Try) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, t)
	r.spend(t)
	if r.flying > 0 {
		r.flying--
	}
	if r.Progress == nil {
		return
	}
	p := Progress{Done: len(r.tries), Total: r.Repetitions * len(r.Examples), CostUSD: r.cost}
	for _, one := range r.tries {
		if !one.Passed {
			p.NotPassed++
		}
	}
	r.Progress(p)
}

// finish puts the results together and stores them with the telemetry of the suite.
func (r *runner) finish(ctx context.Context) (*Results, error) {
	res := r.results(r.Now().UTC().Truncate(time.Microsecond))
	if err := res.Validate(); err != nil {
		return nil, fmt.Errorf("put results together: %w", err)
	}
	text, err := res.Encode()
	if err != nil {
		return nil, err
	}
	msg, err := r.Telemetry.SuiteEnded(suiteEnd(res, text))
	if err != nil {
		return nil, err
	}
	if err := r.Store.Finish(ctx, res.ID, text, msg, res.EndedAt); err != nil {
		return nil, err
	}
	r.Telemetry.Notify()
	return res, nil
}

func (r *runner) results(at time.Time) *Results {
	suite, _ := wire.EvaluationIdentity(r.begun.ID)
	res := &Results{
		Schema: SchemaVersion, ID: r.begun.ID, TraceID: suite.String(), Dataset: r.begun.Spec.Dataset,
		Analyser: r.AnalyserKind, Prompts: r.Prompts, Models: r.Models, Revision: r.Revision, Repetitions: r.Repetitions,
		StartedAt: r.begun.StartedAt, EndedAt: at, Tries: slices.Clone(r.tries),
	}
	if r.limited {
		res.Stopped = fmt.Sprintf("the cost limit of %g USD: %d of %d tries cost %.4f USD", r.MaxCostUSD, len(r.tries), r.Repetitions*len(r.Examples), r.cost)
	}
	for _, s := range r.Scorers {
		res.Scorers = append(res.Scorers, s.Info())
	}
	order := map[string]int{}
	for i, e := range r.Examples {
		order[e.ID] = i
	}
	slices.SortFunc(res.Tries, func(a, b Try) int {
		return cmp.Or(cmp.Compare(order[a.Example], order[b.Example]), cmp.Compare(a.Repetition, b.Repetition))
	})
	return res
}

// suiteEnd is what telemetry is told of an evaluation, under the names of the old deployment.
func suiteEnd(res *Results, text []byte) telemetry.SuiteEnd {
	end := telemetry.SuiteEnd{
		Evaluation: res.ID, Start: res.StartedAt, End: res.EndedAt, Results: text,
		Dataset: telemetry.Dataset{Name: res.Dataset.Name, Digest: res.Dataset.Digest()},
		Params: map[string]string{
			"dataset_name": res.Dataset.Name, "dataset_version": res.Dataset.Version, "dataset_hash": res.Dataset.Hash,
			"num_examples": fmt.Sprint(res.Dataset.Examples), "repetitions": fmt.Sprint(res.Repetitions), "analyser": res.Analyser,
		},
		Tags:    map[string]string{},
		Metrics: res.Metrics(),
		Prompts: map[commentator.Stage]commentator.Analysis{},
	}
	for _, m := range res.Models {
		end.Params[string(m.Stage)+"_model"] = m.Model
	}
	for _, p := range res.Prompts {
		end.Prompts[p.Stage] = commentator.Analysis{PromptName: p.Name, PromptSHA: p.SHA256}
		end.Params[string(p.Stage)+"_prompt"], end.Params[string(p.Stage)+"_prompt_sha256"] = p.Name, p.SHA256
	}
	if res.Stopped != "" {
		end.Tags["stopped"] = res.Stopped
	}
	return end
}

// Metrics are those of the evaluation's run: the sums, and for each example and scorer a value.
func (r *Results) Metrics() map[string]float64 {
	s := r.Summary()
	out := map[string]float64{
		"total_examples": float64(s.Total), "passed_examples": float64(s.Passed), "failed_examples": float64(s.Failed),
		"overall_pass_rate": s.PassRate, "infrastructure_errors": float64(s.InfrastructureErrors),
	}
	if s.CostUnknown == 0 {
		out["cost_usd"] = s.CostUSD
	}
	sums, counts := map[string]float64{}, map[string]int{}
	for _, e := range r.ByExample() {
		if rate, ok := e.PassRate(); ok {
			out[e.ID+"_pass_rate"] = rate
		}
		for _, scorer := range r.Scorers {
			if mean, ok := e.Mean(scorer.Name); ok {
				out[e.ID+"_"+scorer.Name] = mean
				sums[scorer.Name] += mean
				counts[scorer.Name]++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		out[name+"/mean"] = sums[name] / float64(counts[name])
	}
	for name, v := range out {
		out[name] = decimal.Round(v)
	}
	return out
}

// fatal are codes of errors that every further try would meet too.
var fatal = map[string]bool{
	"model_unauthorized": true, "model_forbidden": true, "model_not_found": true, "model_quota_exceeded": true, "model_bad_request": true,
}

// modelsFault are codes of errors that say something of the model.
var modelsFault = map[string]bool{"bad_model_output": true, "model_refused": true, "model_context_length": true}

// kindOf says who is to blame for an error.
func kindOf(err error) ErrorKind {
	switch {
	case err == nil:
		return ErrorNone
	case modelsFault[commentator.ErrorCode(err)]:
		return ErrorModel
	}
	return ErrorInfrastructure
}

// FatalError is an error that makes it useless to go on.
type FatalError struct{ Err error }

func (e *FatalError) Error() string { return e.Err.Error() }
func (e *FatalError) Unwrap() error { return e.Err }

func isFatal(err error) bool {
	var f *FatalError
	return errors.As(err, &f) || fatal[commentator.ErrorCode(err)]
}

// useless is an error when Fatal says that nothing makes sense any more.
func (r *runner) useless() error {
	if r.Fatal == nil {
		return nil
	}
	if err := r.Fatal(); err != nil {
		return &FatalError{err}
	}
	return nil
}

// hopelessTries is how many tries may meet nothing but errors of infrastructure before nothing more
// is expected of the others.
const hopelessTries = 10

// hopeless is an error when nothing but errors of infrastructure was met for that long.
func (r *runner) hopeless() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tries) < hopelessTries || slices.ContainsFunc(r.tries, Try.Counts) {
		return nil
	}
	return &FatalError{fmt.Errorf("all of %d tries met an error of infrastructure, the last one: %s", len(r.tries), r.tries[len(r.tries)-1].Message)}
}
