package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// Metadata of assessments: the verdict as a word, and its time in ns since 1970, by which a
// bridge that has lost its ledger knows a later verdict.
const (
	metaLabel = "label"
	metaTime  = "otel.time"
)

// applyScores brings the verdicts on a job to its run and its trace, as far as these are
// there; the others wait in the ledger for the next message of the job.
func (a *Applier) applyScores(ctx context.Context, j *job) {
	for _, s := range j.scores {
		j.entry.Job.Take(s)
	}
	if j.asked != "" { // the run may have been made anew
		for _, s := range j.entry.Job.Scores {
			s.Counted, s.Traced, s.Held = false, false, false
		}
	}
	j.ownScores()
	ids := slices.Sorted(maps.Keys(j.entry.Job.Scores))
	named := map[[3]string][]*ledger.Score{} // by experiment, run and name
	for _, id := range ids {
		s := j.entry.Job.Scores[id]
		key := [3]string{s.Experiment, s.RunKey, s.Name}
		named[key] = append(named[key], s)
	}
	for _, key := range slices.SortedFunc(maps.Keys(named), func(x, y [3]string) int { return slices.Compare(x[:], y[:]) }) {
		if err := a.applyNamed(ctx, j, ids, named[key]); err != nil {
			err = fmt.Errorf("write score %s: %w", key[2], err)
			if !j.fail(err) {
				continue
			}
			a.bury(j, "score", key[2], err)
			for _, s := range named[key] {
				s.Counted, s.Traced = true, true // dealt with: not again
			}
		}
	}
}

// ownScores makes verdicts that came before it was known that the trace belongs to the run of another
// one such as those that came after: not counted, and with the name of that run.
func (j *job) ownScores() {
	if t := j.entry.Job.Trace; t == nil || t.Run == "" {
		return
	}
	for _, s := range j.entry.Job.Scores {
		if !s.Uncounted && j.entry.Job.Runs[s.RunKey] == nil {
			s.Uncounted, s.Traced = true, false
		}
	}
}

// applyNamed brings the verdicts of one name to a run, and each to the trace.
func (a *Applier) applyNamed(ctx context.Context, j *job, ids []string, scores []*ledger.Score) error {
	first := scores[0]
	exp, ok, err := a.experimentIfThere(ctx, first.Experiment)
	if err != nil || !ok {
		return err
	}
	for _, s := range scores {
		s.At(exp.ref)
		s.Counted = s.Counted || s.Uncounted || s.Expected
	}
	if !slices.ContainsFunc(scores, (*ledger.Score).Waiting) {
		return nil
	}
	var rec *ledger.Run
	if !first.Uncounted {
		if rec, err = a.scoredRun(ctx, j, exp, first); err != nil {
			return err
		}
	}
	if rec != nil && slices.ContainsFunc(scores, func(s *ledger.Score) bool { return !s.Counted }) {
		if err := a.countScores(ctx, j, rec, scores); err != nil {
			return err
		}
	}
	for _, id := range ids {
		s := j.entry.Job.Scores[id]
		if !slices.Contains(scores, s) || !s.InTrace || s.Traced || !a.takesTraces() {
			continue
		}
		there, err := a.tracedAlready(ctx, j, exp, s)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		held, err := a.assess(ctx, j, exp, id, s)
		err = a.failed.result("score", id, err)
		if err != nil && !permanent(err) {
			return err
		}
		s.Traced, s.Held = true, held
		if err != nil {
			j.fail(fmt.Errorf("write score %s: %w", s.Name, err))
			a.bury(j, "score", s.Name, err)
		}
	}
	return nil
}

// scoredRun finds the run that a verdict is about; nil means that it is not there yet.
func (a *Applier) scoredRun(ctx context.Context, j *job, exp experiment, s *ledger.Score) (*ledger.Run, error) {
	if rec := j.entry.Job.Runs[s.RunKey]; rec != nil && rec.Experiment == exp.ref && (rec.ID != "" || rec.Gone) {
		return rec, nil
	}
	if !a.searches(j, s) {
		return nil, nil
	}
	runs, err := a.search(ctx, exp, s.RunKey)
	if err != nil {
		return nil, err
	}
	found, err := a.settle(ctx, s.RunKey, runs)
	if err != nil || found == nil {
		return nil, err
	}
	rec := j.entry.Job.Run(s.RunKey)
	*rec = ledger.Run{
		Experiment: exp.ref, ID: found.Info.ID, ArtifactURI: found.Info.ArtifactURI, Name: found.Info.Name,
		Gone: found.Info.Stage == mlflow.Deleted, Closed: found.Info.Status != mlflow.StatusRunning,
	}
	return rec, nil
}

// searches reports whether MLflow may hold run and trace of a verdict although the ledger
// knows of none.
func (a *Applier) searches(j *job, s *ledger.Score) bool {
	return a.cfg.Shared || j.last || j.entry.Job.Unsure || !a.ledger.Complete(s.StartMS)
}

// dropWaiting gives up what still waits for a run or a trace, once it was looked for in vain.
func (a *Applier) dropWaiting(ctx context.Context, j *job) error {
	if !j.entry.Job.Waiting() {
		return nil
	}
	j.last = true
	a.applyScores(ctx, j)
	// What is refused now has no letter: the message that it came with is long done.
	for _, r := range j.refused {
		a.cfg.Count(EventDeadLetterFailed, 1)
		a.log.Error("A verdict is lost: MLflow refuses it for good", zap.String("trace_id", j.traceID), zap.String("score", r.Name), zap.String("reason", r.Reason))
	}
	if j.stopped() {
		return report(j.errs)
	}
	for id, s := range j.entry.Job.Scores {
		if s.Waiting() {
			delete(j.entry.Job.Scores, id)
			if s.Retracted || (s.Counted && !a.takesTraces()) || (s.InTrace && s.Traced) {
				continue // there was nothing left to take back, or it is on the run or the trace, and there is no other
			}
			a.cfg.Count(EventLoneScore, 1)
			a.log.Warn("A verdict is given up: nothing came of its job, or of the trace", zap.String("trace_id", j.traceID), zap.String("score", s.Name))
		}
	}
	return nil
}

// countScores writes what all verdicts of one name come to: how many there are, the mean of
// those that are numbers, and a tag with the words. The step of the points goes up, because
// MLflow shows the point with the highest one as the metric's value.
func (a *Applier) countScores(ctx context.Context, j *job, rec *ledger.Run, scores []*ledger.Score) error {
	counted := func() {
		for _, s := range scores {
			s.Counted = true
		}
	}
	if rec.Gone {
		counted()
		return nil
	}
	r := &run{job: j, rec: rec, Run: reduce.Run{
		Key: scores[0].RunKey, TraceID: j.traceID, Experiment: scores[0].Experiment, Name: rec.Name, Version: rec.Version,
	}}
	now, err := a.readRun(ctx, rec.ID)
	if err == nil && now.Info.Stage == mlflow.Deleted {
		counted() // it stays deleted
		return nil
	}
	if err = a.lost(ctx, r, err); err != nil || rec.Gone {
		return err
	}
	all, err := a.withHeld(ctx, j, rec, scores)
	if err != nil {
		return err
	}
	sum := sumUp(all)
	mean, count, tag := keys.Clean(wire.FeedbackMean(sum.name)), keys.Clean(wire.FeedbackCount(sum.name)), keys.Clean(wire.TagFeedbackPrefix+sum.name)
	step, shown := int64(0), map[string]float64{}
	for _, m := range now.Data.Metrics {
		if m.Key == mean || m.Key == count {
			step, shown[m.Key] = max(step, m.Step+1), float64(m.Value)
		}
	}
	_, hadCount := shown[count]
	_, hadMean := shown[mean]
	hasMean := hadMean || sum.numbers > 0 || sum.count == 0 // words have none; MLflow removes no metric
	if hadCount && hadMean == hasMean && shown[count] == float64(sum.count) && shown[mean] == sum.mean && now.Tag(tag) == sum.words {
		counted() // by an attempt whose end nobody saw, or before the ledger was lost
		return nil
	}
	b := batch{metrics: []mlflow.Metric{{Key: count, Value: mlflow.Number(sum.count), Timestamp: sum.timeMS, Step: step}}}
	if hasMean {
		b.metrics = append(b.metrics, mlflow.Metric{Key: mean, Value: mlflow.Number(sum.mean), Timestamp: sum.timeMS, Step: step})
	}
	if sum.words != "" {
		b.tags = append(b.tags, mlflow.KeyValue{Key: tag, Value: values.Clean(sum.words, a.maxTag())})
	}
	err = a.lost(ctx, r, a.send(ctx, r, b))
	if err == nil && sum.words == "" && now.Tag(tag) != "" && !rec.Gone {
		err = a.call(ctx, func() error { return a.client.DeleteTag(ctx, rec.ID, tag) })
		if mlflow.IsCode(err, mlflow.CodeNotFound) {
			err = nil // the run was there a moment ago: somebody else has removed the tag
		}
		err = a.lost(ctx, r, err)
	}
	if err != nil && !permanent(err) {
		return err
	}
	if err != nil {
		j.fail(fmt.Errorf("write scores to run %s: %w", rec.Name, err))
		a.bury(j, "score", sum.name, err)
	}
	counted()
	return nil
}

// withHeld adds the verdicts of the same name that the trace has and the ledger does not know,
// or knows in an older version: of other bridges, or of before the ledger was lost.
func (a *Applier) withHeld(ctx context.Context, j *job, rec *ledger.Run, scores []*ledger.Score) ([]*ledger.Score, error) {
	if !scores[0].InTrace || !a.takesTraces() || !a.searches(j, scores[0]) {
		return scores, nil
	}
	info, err := a.readTrace(ctx, j.traceID)
	if err != nil && !noTrace(err) {
		return nil, fmt.Errorf("look for other verdicts: %w", err)
	}
	all := slices.Clone(scores)
	for _, one := range info.Assessments {
		at, err := strconv.ParseUint(one.Metadata[metaTime], 10, 64)
		known := j.entry.Job.Scores[one.ID]
		if err != nil || one.Name != scores[0].Name || one.Feedback == nil || (known != nil && known.Version.EndUnixNano >= at) || !j.about(rec, one) {
			continue
		}
		all = slices.DeleteFunc(all, func(s *ledger.Score) bool { return s == known })
		s := &ledger.Score{Score: reduce.Score{Name: one.Name, Value: one.Feedback.Value, Label: one.Metadata[metaLabel], Version: reduce.Version{EndUnixNano: at}}}
		s.Number = numberOf(s.Value)
		all = append(all, s)
	}
	return all, nil
}

// noTrace reports whether MLflow does not have the trace, or no traces at all.
func noTrace(err error) bool {
	var e *mlflow.Error
	return mlflow.IsCode(err, mlflow.CodeNotFound) || (errors.As(err, &e) && e.NoRoute())
}

// about reports whether an assessment of the trace is about a run. Those about a run that is not the
// trace's own name it.
func (j *job) about(rec *ledger.Run, one mlflow.Assessment) bool {
	if in := one.Metadata[mlflow.MetaAssessedIn]; in != "" {
		return in == rec.ID
	}
	own := j.entry.Job.Runs[j.traceID]
	return own == nil || own == rec
}

// numberOf is a JSON value as a number, nil when it is none.
func numberOf(value json.RawMessage) *float64 {
	var f float64
	switch err := json.Unmarshal(value, &f); {
	case err == nil:
	case string(value) == "true":
		f = 1
	case string(value) != "false":
		return nil
	}
	return &f
}

// summary is what the verdicts of one name come to.
type summary struct {
	name    string
	count   int
	numbers int     // of count
	mean    float64 // of numbers; 0 when there is none
	words   string  // the one that was said, or each and how often: "thumbs_down 1, thumbs_up 2"
	timeMS  int64   // of the last verdict, one that was taken back too
}

func sumUp(scores []*ledger.Score) summary {
	out := summary{name: scores[0].Name}
	total := 0.0
	said := map[string]int{}
	for _, s := range scores {
		if s.Expected { // what the right answer would be is no verdict
			continue
		}
		out.timeMS = max(out.timeMS, int64(s.Version.EndUnixNano/uint64(time.Millisecond))) // ns since 1970 fit until 2262
		if s.Retracted {
			continue
		}
		out.count++
		if s.Number != nil {
			total, out.numbers = total+*s.Number, out.numbers+1
		}
		said[cmp.Or(s.Label, strings.Trim(string(s.Value), `"`))]++
	}
	if out.numbers > 0 {
		out.mean = total / float64(out.numbers)
	}
	var words []string
	for _, word := range slices.Sorted(maps.Keys(said)) {
		if out.count > 1 {
			word += " " + strconv.Itoa(said[word])
		}
		words = append(words, word)
	}
	out.words = strings.Join(words, ", ")
	return out
}
