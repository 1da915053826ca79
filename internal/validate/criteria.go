package validate

import (
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/reconcile"
)

// criteria are those of the guide, in its words and order.
func (e *evidence) criteria() []Criterion {
	list := []Criterion{
		e.allJobsProcess(), e.errorRates(), e.artifactsSaved(),
		e.everyJobHasARun(), e.spanHierarchy(),
		{"Observable", "Team uses MLflow UI for debugging", Open, "ask the team; the UI is " + e.cfg.Client.Endpoint()},
		e.serverUptime(), e.workerStable(), e.diskUsage(),
		e.evaluation(),
		e.promptsTracked(),
		{"Integrated", "Team trained on MLflow usage", Open, "ask the team"},
	}
	return list
}

// status is pass when it holds.
func status(holds bool) Status {
	if holds {
		return Pass
	}
	return Fail
}

func (e *evidence) allJobsProcess() Criterion {
	failed, _ := failures(e.on)
	n := details(e.on)
	recorded := n["full"] + n["tracking"]
	text := fmt.Sprintf("%d of %d test jobs succeeded, %d of them recorded", len(e.on)-failed, len(e.on), recorded)
	return Criterion{"Functional", "All jobs process successfully with tracking enabled", status(failed == 0 && recorded > 0), text}
}

func (e *evidence) errorRates() Criterion {
	failedOn, _ := failures(e.on)
	failedOff, _ := failures(e.off)
	on, before := Share{len(e.on), failedOn}, Share{len(e.off), failedOff}
	text := fmt.Sprintf("test jobs in error: %s with telemetry, %s without", on, before)
	holds := !on.Above(before)
	if e.noBaseline == nil {
		b := Share{e.baseline.Jobs, e.baseline.Failed}
		text += fmt.Sprintf(", %s in the baseline", b)
		holds = holds && !on.Above(b)
	}
	if d := e.deployment; d.Recorded.Jobs > 0 && d.Unrecorded.Jobs > 0 {
		text += fmt.Sprintf("\njobs of the job database in error: %s that were recorded, %s that were not", d.Recorded, d.Unrecorded)
		holds = holds && !d.Recorded.Above(d.Unrecorded)
	}
	return Criterion{"Functional", "No increase in error rates", status(holds), text}
}

func (e *evidence) artifactsSaved() Criterion {
	n, first := e.about(isFile)
	text := fmt.Sprintf("%s of %s, with the hashes that the worker recorded", counted.Of(e.held.Files, "file"), counted.Of(e.held.Jobs, "test job"))
	if n > 0 {
		text = first
	}
	return Criterion{"Functional", "Artifacts saved correctly", status(n == 0 && e.held.Files > 0), text}
}

func (e *evidence) everyJobHasARun() Criterion {
	n, first := e.about(isJob)
	c := Criterion{"Observable", "Every job has a run in MLflow", status(n == 0 && e.held.Jobs > 0), fmt.Sprintf("%d of %d test jobs", e.held.Jobs, len(e.on))}
	if n > 0 {
		c.Evidence = first
	}
	if d := e.day; d != nil {
		c.Evidence += "\nof the last day " + dayText(*d)
		if !d.Whole(false) {
			c.Status = Fail
		}
	}
	return c
}

// dayText says how many jobs were compared, how many of them MLflow does not hold whole, and what
// there is to do.
func dayText(d reconcile.Result) string {
	text := counted.Form(d.Jobs, "job of the job database was compared", "jobs of the job database were compared")
	if d.Whole(false) {
		return text + ", and MLflow holds what was recorded"
	}
	var parts []string
	if n := len(d.Waiting); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in the outbox still, `commentator status` says why", counted.Form(n, "more waits", "more wait")))
	}
	broken, findings := map[int64]bool{}, 0
	for _, list := range [][]reconcile.Finding{d.Lost, d.Doubled, d.Wrong} {
		for _, f := range list {
			broken[f.Job] = true
			findings++
		}
	}
	if findings > 0 {
		parts = append([]string{fmt.Sprintf("%s not in MLflow as recorded (%s: %d lost, %d doubled, %d wrong); `mlflowctl reconcile --since 24h` names them, with `--repair` it sends again what is lost or wrong",
			counted.Form(len(broken), "is", "are"), counted.Of(findings, "finding"), len(d.Lost), len(d.Doubled), len(d.Wrong))}, parts...)
	}
	elsewhere := map[int64]bool{} // a run and a trace of one job may be in different ones
	for _, f := range d.Elsewhere {
		elsewhere[f.Job] = true
	}
	if n := len(elsewhere); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in another experiment than recorded, `mlflowctl reconcile --since 24h` says which", counted.Form(n, "is", "are")))
	}
	return text + ": " + strings.Join(parts, "; ")
}

func (e *evidence) spanHierarchy() Criterion {
	c := Criterion{Group: "Observable", Criterion: "Traces show complete span hierarchy"}
	if details(e.on)["full"] == 0 {
		c.Status, c.Evidence = Open, "no test job was traced; that is phase 2"
		return c
	}
	n, first := e.about(isTrace)
	c.Status, c.Evidence = status(n == 0 && e.held.Traces > 0), fmt.Sprintf("%s all %s recorded, each below its parent", counted.Form(e.held.Traces, "trace holds", "traces hold"), counted.Form(e.held.Spans, "span that was", "spans that were"))
	if n > 0 {
		c.Evidence = first
	}
	return c
}

func (e *evidence) serverUptime() Criterion {
	e.probes.mu.Lock()
	defer e.probes.mu.Unlock()
	text := fmt.Sprintf("it answered %d of %d questions while this ran", e.probes.answered, e.probes.asked)
	c := Criterion{"Stable", "MLflow server uptime >99%", Open, text + "; a Prometheus that reads the Collector knows of a longer time: --prometheus URL"}
	if e.uptime != nil {
		c.Status = status(*e.uptime > leastUptime)
		c.Evidence = fmt.Sprintf("in the last seven days it was there %.2f %% of the time; %s", 100**e.uptime, text)
	}
	if e.probes.answered < e.probes.asked {
		c.Status = Fail
		c.Evidence += fmt.Sprintf("\nlast: %v", e.probes.last)
	}
	return c
}

func (e *evidence) evaluation() Criterion {
	c := Criterion{"Integrated", "Evaluation suite running weekly", Open, "MLflow has no run of an evaluation"}
	if e.evaluated.IsZero() {
		return c
	}
	c.Evidence = "the last evaluation that MLflow has a run of began on " + e.evaluated.UTC().Format(moment)
	if e.cfg.Now().Sub(e.evaluated) <= week {
		c.Status = Pass
	}
	return c
}

const week = 7 * 24 * time.Hour

// mostKills is the share of jobs that may have had a worker die on them; leastUptime, leastFree
// and leastDays are the share of time in which MLflow must be there, that of the disk that must
// be free, and for how long that must do.
const (
	mostKills   = 0.01
	leastUptime = 0.99
	leastFree   = 0.10
	enoughFree  = 10_000_000_000 // bytes that do on a large disk that others fill
	leastDays   = 90
)

func (e *evidence) workerStable() Criterion {
	d := e.deployment
	c := Criterion{Group: "Stable", Criterion: "Worker process stable"}
	c.Status, c.Evidence = Open, "no job of the last seven days ended in the job database"
	if d.Week.Jobs > 0 {
		c.Status = status(float64(d.Kills) <= mostKills*float64(d.Week.Jobs))
		c.Evidence = fmt.Sprintf("a worker died with a job in hand %s in %s of the last seven days; at most 1 %%", counted.Of(d.Kills, "time"), counted.Of(d.Week.Jobs, "job"))
	}
	return c
}

func (e *evidence) diskUsage() Criterion {
	c := Criterion{Group: "Stable", Criterion: "Disk usage manageable"}
	perJob := int64(0)
	if e.held.Jobs > 0 {
		perJob = e.held.Bytes / int64(e.held.Jobs)
	}
	perDay := float64(e.deployment.Week.Jobs) / 7
	c.Evidence = fmt.Sprintf("a test job takes %s of artifacts; %.1f jobs a day make %s a day", bytesize.Format(perJob), perDay, bytesize.Format(int64(perDay*float64(perJob))))
	disk := e.deployment.Disk
	switch {
	case !e.deployment.Known:
		c.Status, c.Evidence = Open, c.Evidence+"; there is no job database yet"
		return c
	case disk == nil:
		c.Status, c.Evidence = Open, c.Evidence+"; the job database is on another machine's disk"
		return c
	}
	free := float64(disk.Free) / float64(disk.Total)
	days := float64(disk.Free) / max(1, perDay*float64(perJob))
	c.Status = status((free >= leastFree || disk.Free >= enoughFree) && days >= leastDays)
	c.Evidence += fmt.Sprintf("\nthe job database has %s, its disk %s free (%.0f %%); wanted are %.0f %% or %s, and room for %d days",
		bytesize.Format(disk.Database), bytesize.Format(disk.Free), 100*free, 100*leastFree, bytesize.Format(enoughFree), leastDays)
	return c
}

func (e *evidence) promptsTracked() Criterion {
	c := Criterion{Group: "Integrated", Criterion: "Prompts tracked in registry", Status: Open}
	named, linked := e.prompts.count()
	c.Evidence = "no job of the last day used a prompt"
	if named > 0 {
		c.Status = status(linked == named)
		c.Evidence = fmt.Sprintf("the runs of %d of %d jobs of the last day that used prompts are linked to their versions in the registry", linked, named)
	}
	return c
}
