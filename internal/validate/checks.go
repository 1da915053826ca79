package validate

import (
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/reconcile"
)

// checks are the steps of the guide's list for after the migration.
func (e *evidence) checks(l *Latency) []Check {
	return []Check{e.answers(), e.jobsEnd(), e.recorded(), e.taken(), e.jobRuns(), e.stageRuns(), e.artifacts(), e.traces(), e.noSlowdown(l)}
}

func (e *evidence) answers() Check {
	c := Check{Name: "MLflow answers", Status: Pass, Evidence: fmt.Sprintf("%s is MLflow %s", e.cfg.Client.Endpoint(), strings.TrimSpace(e.version))}
	if e.down != nil {
		c.Status, c.Evidence = Fail, e.down.Error()
		c.Fix = "start it, or correct MLFLOW_TRACKING_URI; `mlflowctl doctor` looks further"
	}
	return c
}

func (e *evidence) jobsEnd() Check {
	c := Check{Name: "test jobs end well", Status: Pass}
	failed, first := failures(e.on)
	c.Evidence = fmt.Sprintf("%d of %d, and as many with telemetry off, in channel %s; nothing was posted", len(e.on)-failed, len(e.on), Channel)
	if failed > 0 {
		c.Status, c.Fix = Fail, "it says what is wrong with the worker, not with what it records"
		c.Evidence += fmt.Sprintf("\njob %d ended in %s: %s %s", first.ID, first.Outcome, first.ErrorType, first.Error)
	}
	return c
}

func failures(jobs []Job) (n int, first Job) {
	for _, j := range jobs {
		if j.Outcome != "success" {
			if n++; n == 1 {
				first = j
			}
		}
	}
	return n, first
}

// details counts jobs by how much of them was to be recorded.
func details(jobs []Job) map[string]int {
	n := map[string]int{}
	for _, j := range jobs {
		n[j.Detail]++
	}
	return n
}

func (e *evidence) recorded() Check {
	n := details(e.on)
	c := Check{Name: "they are recorded", Status: Pass, Evidence: fmt.Sprintf("telemetry is %s, because %s: runs and traces of %s, runs alone of %d, nothing of %d",
		e.cfg.Mode, e.cfg.Because, counted.Form(n["full"], "job", "jobs"), n["tracking"], n["off"])}
	if n["full"]+n["tracking"] == 0 {
		c.Status, c.Fix = Fail, "set MLFLOW_ENABLE_TRACKING=true, which is phase 1"
		if e.cfg.Mode != "off" {
			c.Fix = "`commentator tracing` shows which rule of the sampling file decides that; `commentator tracing reset` ends it"
		}
	}
	return c
}

func (e *evidence) taken() Check {
	c := Check{Name: "the Collector takes their messages", Status: Pass, Evidence: "nothing waits in the outbox, nothing was set aside"}
	if waiting := len(e.held.Waiting); waiting+e.held.SetAside > 0 {
		c.Status, c.Evidence = Fail, fmt.Sprintf("messages of %s wait, %s refused", counted.Of(waiting, "job"), counted.Form(e.held.SetAside, "was", "were"))
		c.Fix = "is otelcol-mlflow running, and is OTEL_EXPORTER_OTLP_ENDPOINT its address?"
	}
	return e.unlessDown(c)
}

// unlessDown is a check of what MLflow holds, if it could be looked at.
func (e *evidence) unlessDown(c Check) Check {
	switch {
	case e.down != nil:
		return Check{Name: c.Name, Status: Fail, Evidence: "not looked at, since MLflow does not answer"}
	case e.cfg.Mode == "off":
		return Check{Name: c.Name, Status: Fail, Evidence: "not looked at, since telemetry is off"}
	}
	return c
}

// about are the findings on test jobs whose item has a property.
func (e *evidence) about(which func(reconcile.Finding) bool) (n int, first string) {
	for _, list := range [][]reconcile.Finding{e.held.Lost, e.held.Doubled, e.held.Wrong, e.held.Deleted, e.held.Renamed, e.held.Elsewhere} {
		for _, f := range list {
			if which(f) {
				if n++; n == 1 {
					first = fmt.Sprintf("job %d, %s: %s", f.Job, f.Item, f.Detail)
				}
			}
		}
	}
	return n, first
}

func isTrace(f reconcile.Finding) bool { return strings.HasPrefix(f.Key, "tr-") }
func isFile(f reconcile.Finding) bool  { return strings.HasPrefix(f.Item, "artifact ") }
func isStage(f reconcile.Finding) bool {
	return !isTrace(f) && !isFile(f) && strings.Contains(f.Key, "-")
}
func isJob(f reconcile.Finding) bool { return !isTrace(f) && !isFile(f) && !isStage(f) }

// compared makes a check of findings.
func (e *evidence) compared(name, evidence string, which func(reconcile.Finding) bool) Check {
	c := Check{Name: name, Status: Pass, Evidence: evidence}
	if n, first := e.about(which); n > 0 {
		c.Status, c.Evidence = Fail, fmt.Sprintf("%s, the first: %s", counted.Of(n, "difference"), first)
		c.Fix = "`otelcol-mlflow` logs what it could not deliver, and keeps it among its dead letters"
		elsewhere := 0
		for _, f := range e.held.Elsewhere {
			if which(f) {
				elsewhere++
			}
		}
		if n == elsewhere { // all was delivered
			c.Fix = "did somebody rename the experiment in MLflow? Give it its name back, or restart the Collector, which makes another one"
		}
	}
	return e.unlessDown(c)
}

func (e *evidence) jobRuns() Check {
	return e.compared("each job has one run", counted.Of(e.held.Jobs, "run")+", with the status, params, tags and metrics that were recorded", isJob)
}

func (e *evidence) stageRuns() Check {
	return e.compared("each stage has one run below it", counted.Of(e.held.Runs-e.held.Jobs, "run")+", likewise", isStage)
}

func (e *evidence) artifacts() Check {
	return e.compared("artifacts are what was recorded", fmt.Sprintf("%s, %s, the same by SHA-256", counted.Of(e.held.Files, "file"), bytesize.Format(e.held.Bytes)), isFile)
}

func (e *evidence) traces() Check {
	n := details(e.on)
	text := "none, as in phase 1, of " + counted.Form(n["tracking"], "job", "jobs")
	if n["full"] > 0 {
		text = fmt.Sprintf("%s of %s, linked to their runs, with all %s, each below its parent", counted.Of(e.held.Traces, "trace"), counted.Form(n["full"], "job", "jobs"), counted.Of(e.held.Spans, "span"))
	}
	return e.compared("traces are as the mode says", text, isTrace)
}

func (e *evidence) noSlowdown(l *Latency) Check {
	c := Check{Name: "no slowdown", Status: Pass}
	own := fmt.Sprintf("%s, against %s of jobs with telemetry off that took turns with them: ratio %s", ms(l.Median), ms(l.Off), l.ToOff)
	if l.ToBaseline == nil {
		// Jobs that took turns show a slowdown by themselves, but not that there is none: what slows every
		// job down, those with telemetry off too, only an earlier measurement shows.
		c.Status, c.Evidence, c.Fix = Open, own, e.noBaseline.Error()
		if l.ToOff.Slower(l.Bound) {
			c.Status, c.Evidence = Fail, fmt.Sprintf("%s, bound %.2f", own, l.Bound)
		}
		return c
	}
	c.Evidence = fmt.Sprintf("jobs take %s (median of %d), against %s when the baseline was recorded on %s: ratio %s, bound %.2f\n%s",
		ms(l.Median), len(e.on), ms(l.Baseline), e.baseline.Time.UTC().Format(moment), l.ToBaseline, l.Bound, own)
	if now := NewBaseline(nil, e.cfg.Now(), ""); now.Host != e.baseline.Host || now.CPUs != e.baseline.CPUs {
		c.Evidence += fmt.Sprintf("\nthe baseline is of another machine, %s with %d CPUs", e.baseline.Host, e.baseline.CPUs)
	}
	switch slower := l.ToBaseline.Slower(l.Bound); {
	case slower && l.ToOff.Slower(l.Bound):
		c.Status, c.Fix = Fail, "docs/PERFORMANCE.md says what telemetry costs and how that is measured; is the machine short of CPUs or of disk?"
	case slower:
		c.Evidence += "\nthe machine is slower than it was: jobs with telemetry off take longer as well"
	}
	return c
}

func ms(seconds float64) string { return fmt.Sprintf("%.0f ms", 1000*seconds) }
