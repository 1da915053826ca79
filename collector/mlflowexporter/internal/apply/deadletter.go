package apply

import (
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
)

// bury notes that MLflow refused a piece of a job for good, which the ledger takes for done. Kind is
// run, artifact, spans or trace_info, or that of another piece; name says which one.
func (a *Applier) bury(j *job, kind, name string, reason error) {
	a.cfg.Count(EventDeadLetter, 1)
	j.refuse(kind, name, reason)
}

// buryAgain is bury for a piece that the ledger does not note: each attempt at the job meets it.
func (j *job) buryAgain(kind, name string, reason error) {
	j.count(EventDeadLetter)
	j.refuse(kind, name, reason)
}

func (j *job) refuse(kind, name string, reason error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refused = append(j.refused, deadletter.Refusal{Kind: kind, Name: name, Reason: reason.Error()})
}

// writeLetters puts what was refused of jobs into the dead-letter directory, one letter a
// job. It comes before the ledger takes note: what is noted as dealt with is on disk.
func (a *Applier) writeLetters(jobs []*job, source Source) {
	if a.cfg.DeadLetterDir == "" || source == nil {
		return
	}
	for _, j := range jobs {
		if len(j.refused) == 0 {
			continue
		}
		if err := deadletter.Write(a.cfg.DeadLetterDir, j.traceID, j.refused, source(j.traceID), a.cfg.Now()); err != nil {
			a.cfg.Count(EventDeadLetterFailed, int64(len(j.refused)))
			a.log.Error("A dead letter was not written", zap.String("trace_id", j.traceID), zap.Error(err))
		}
	}
}

// buryTree buries a run and what would hang under it.
func (r *run) buryTree(reason error) {
	r.job.buryAgain("run", r.Name, reason)
	for _, child := range r.children() {
		child.buryTree(reason)
	}
}

// buryAll buries everything that a plan says of a job.
func (j *job) buryAll(reason error) {
	for _, r := range j.runs {
		j.buryAgain("run", r.Name, reason)
	}
	for _, t := range j.traces {
		t.bury(reason)
	}
}

func (t *trace) bury(reason error) {
	if hasSpans(t.Spans) {
		t.job.buryAgain("spans", t.TraceID, reason)
	}
	if t.Info != nil {
		t.job.buryAgain("trace_info", t.TraceID, reason)
	}
}
