package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// Letter is what MLflow refused for good, with all that is needed to send it again.
type Letter struct {
	Kind    string          `json:"kind"` // run, artifact, spans or trace_info
	TraceID string          `json:"trace_id"`
	Item    json.RawMessage `json:"item"`
	Reason  string          `json:"reason"`
	Time    time.Time       `json:"time"`
}

// buriedSpans are spans as a dead letter; OTLP is an ExportTraceServiceRequest.
type buriedSpans struct {
	Experiment string
	RunKey     string
	OTLP       []byte
}

// bury puts an item into the dead-letter directory. The file's name is the hash of the
// item, so that the same item is there once.
func (a *Applier) bury(j *job, kind string, item any, reason error) {
	a.cfg.Count(EventDeadLetter, 1)
	if a.cfg.DeadLetterDir == "" {
		return
	}
	if err := a.writeLetter(j, kind, item, reason); err != nil {
		a.cfg.Count(EventDeadLetterFailed, 1)
		a.log.Error("A dead letter was not written", zap.String("trace_id", j.traceID), zap.Error(err))
	}
}

func (a *Applier) writeLetter(j *job, kind string, item any, reason error) error {
	content, err := json.Marshal(item)
	if err != nil {
		return fmt.Errorf("encode dead letter: %w", err)
	}
	letter := Letter{Kind: kind, TraceID: j.traceID, Item: content, Reason: reason.Error(), Time: a.cfg.Now().UTC()}
	text, err := json.MarshalIndent(letter, "", " ")
	if err != nil {
		return fmt.Errorf("encode dead letter: %w", err)
	}
	sum := sha256.Sum256(append([]byte(kind+"\n"+j.traceID+"\n"), content...))
	name := filepath.Join(a.cfg.DeadLetterDir, hex.EncodeToString(sum[:])+".json")
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	return writeFile(name, append(text, '\n'))
}

// buryTree buries a run and what would hang under it.
func (a *Applier) buryTree(r *run, reason error) {
	a.bury(r.job, "run", r.Run, reason)
	for _, child := range r.children() {
		a.buryTree(child, reason)
	}
}

// buryJob buries everything that a plan says of a job.
func (a *Applier) buryJob(j *job, reason error) {
	for _, r := range j.runs {
		a.bury(j, "run", r.Run, reason)
	}
	for _, t := range j.traces {
		a.buryTrace(t, reason)
	}
}

func (a *Applier) buryTrace(t *trace, reason error) {
	if hasSpans(t.Spans) {
		a.burySpans(t.job, t.Trace, t.Spans, reason)
	}
	if t.Info != nil {
		info := t.Trace
		info.Spans = ptrace.Traces{}
		a.bury(t.job, "trace_info", info, reason)
	}
}

func (a *Applier) burySpans(j *job, t reduce.Trace, spans ptrace.Traces, reason error) {
	body, err := ptraceotlp.NewExportRequestFromTraces(spans).MarshalProto()
	if err != nil {
		a.cfg.Count(EventDeadLetterFailed, 1)
		return
	}
	a.bury(j, "spans", buriedSpans{Experiment: t.Experiment, RunKey: t.RunKey, OTLP: body}, reason)
}
