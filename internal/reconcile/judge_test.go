package reconcile

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

const experiment = "judged"

// TestExpectationsAreThoseOfTheTable gives MLflow what the table of the fixtures says, which
// was written without this package: of each fixture the judge must expect just that.
func TestExpectationsAreThoseOfTheTable(t *testing.T) {
	names, err := fixture.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			requests, table, err := fixture.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			r := judged(t, jobsOf(t, requests), stateOf(t, table))
			if !r.Clean() || r.Runs != len(table.Runs) || r.Traces != len(table.Traces) {
				t.Errorf("%d runs and %d traces; want %d and %d\n%s", r.Runs, r.Traces, len(table.Runs), len(table.Traces), text(t, r))
			}
		})
	}
}

// TestPlantedFaultsAreFound changes one thing in MLflow at a time.
func TestPlantedFaultsAreFound(t *testing.T) {
	requests, table, err := fixture.Load("model_retried")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	const lost, doubled, wrong, deleted, renamed = "lost", "doubled", "wrong", "deleted", "renamed"
	for name, c := range map[string]struct {
		plant func(*State)
		kind  string
		item  string // of a finding, by its beginning
	}{
		"a run is missing":                {func(s *State) { s.Runs = s.Runs[1:] }, lost, "run job_"},
		"a run was deleted":               {func(s *State) { s.Runs[1].Deleted = true }, deleted, "run " + table.Runs[1].Name},
		"a run was withdrawn by a bridge": {func(s *State) { s.Runs[1].Deleted, s.Runs[1].Tags[wire.TagClaim] = true, "other" }, lost, "run " + table.Runs[1].Name},
		"a run is there twice": {func(s *State) {
			twin := s.Runs[0]
			twin.ID = "twin"
			s.Runs = append(s.Runs, twin)
		}, doubled, "run job_"},
		"a stage run is there twice": {func(s *State) {
			twin := s.Runs[2]
			twin.ID = "twin"
			s.Runs = append(s.Runs, twin)
		}, doubled, "run " + table.Runs[2].Name},
		"a run belongs to nothing": {func(s *State) {
			s.Runs = append(s.Runs, Run{ID: "stranger", Name: "stranger", Tags: map[string]string{wire.TagKey: "stranger"}})
		}, wrong, "run stranger"},
		"somebody renamed a run": {func(s *State) { s.Runs[0].Name, s.Runs[0].Tags["mlflow.runName"] = "mine", "mine" }, renamed, "run job_"},
		"a run is called by its key": {func(s *State) {
			key := s.Runs[0].Tags[wire.TagKey]
			s.Runs[0].Name, s.Runs[0].Tags["mlflow.runName"] = key, key
		}, wrong, "name of run job_"},
		"a run's name is not in its tag": {func(s *State) { s.Runs[0].Tags["mlflow.runName"] = "mine" }, wrong, "tag mlflow.runName of run job_"},
		"a run still runs":               {func(s *State) { s.Runs[0].Status, s.Runs[0].EndMS = "RUNNING", 0 }, wrong, "status of run job_"},
		"a run hangs elsewhere":          {func(s *State) { s.Runs[1].Tags["mlflow.parentRunId"] = "other" }, wrong, "parent of run"},
		"a run is in another place":      {func(s *State) { s.Runs[1].Experiment = "other" }, wrong, "experiment of run"},
		"a param is missing":             {func(s *State) { delete(s.Runs[0].Params, "job_id") }, lost, "param job_id"},
		"a param differs":                {func(s *State) { s.Runs[0].Params["job_id"] = "0" }, wrong, "param job_id"},
		"a tag is missing":               {func(s *State) { delete(s.Runs[1].Tags, "stage") }, lost, "tag stage"},
		"a tag tells of a loss":          {func(s *State) { s.Runs[1].Tags[wire.TagUndelivered] = "evidence.json" }, wrong, "tag " + wire.TagUndelivered},
		"a metric differs":               {func(s *State) { s.Runs[0].Metrics["latency_seconds"][0].Value++ }, wrong, "metric latency_seconds"},
		"a metric is missing":            {func(s *State) { delete(s.Runs[0].Metrics, "latency_seconds") }, lost, "metric latency_seconds"},
		"a metric has two points": {func(s *State) {
			m := s.Runs[0].Metrics
			m["latency_seconds"] = append(m["latency_seconds"], Point{Value: 1})
		}, doubled, "metric latency_seconds"},
		"a cost is counted twice": {func(s *State) { s.Runs[0].Metrics["cost_usd"][0].Value *= 2 }, wrong, "metric cost_usd"},
		"an artifact is missing":  {func(s *State) { clear(withFiles(s).Artifacts) }, lost, "artifact "},
		"an artifact is corrupt": {func(s *State) {
			files := withFiles(s).Artifacts
			files[slices.Sorted(maps.Keys(files))[0]] = strings.Repeat("0", 64)
		}, wrong, "artifact "},
		"a trace is missing": {func(s *State) { s.Traces = nil }, lost, "trace"},
		"a span is missing":  {func(s *State) { s.Traces[0].Spans = s.Traces[0].Spans[1:] }, lost, "span "},
		"a parent is missing": {func(s *State) {
			tr := &s.Traces[0]
			tr.Spans = slices.DeleteFunc(tr.Spans, func(sp Span) bool { return sp.Parent == "" })
		}, wrong, "span "},
		"a span is there twice": {func(s *State) { s.Traces[0].Spans = append(s.Traces[0].Spans, s.Traces[0].Spans[0]) }, doubled, "span "},
		"a span is a stranger":  {func(s *State) { s.Traces[0].Spans = append(s.Traces[0].Spans, Span{ID: "0"}) }, wrong, "span "},
		"tokens are counted twice": {func(s *State) {
			s.Traces[0].Metadata[metaTokenUsage] = `{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}`
		}, wrong, "tokens of trace"},
		"a trace is linked to no run": {func(s *State) { delete(s.Traces[0].Metadata, metaSourceRun) }, wrong, "run of trace"},
		"a trace is not complete":     {func(s *State) { s.Traces[0].State = "IN_PROGRESS" }, wrong, "state of trace"},
	} {
		t.Run(name, func(t *testing.T) {
			held := stateOf(t, table)
			c.plant(&held)
			r := judged(t, jobs, held)
			found := map[string][]Finding{lost: r.Lost, doubled: r.Doubled, wrong: r.Wrong, deleted: r.Deleted, renamed: r.Renamed}[c.kind]
			if !slices.ContainsFunc(found, func(f Finding) bool { return strings.HasPrefix(f.Item, c.item) && f.Detail != "" }) {
				t.Errorf("nothing %s of %q\n%s", c.kind, c.item, text(t, r))
			}
		})
	}
}

// TestPointsThatDifferInTheLastDigitsAreOne: an exporter that rounds writes a point beside that of one which did not.
func TestPointsThatDifferInTheLastDigitsAreOne(t *testing.T) {
	requests, table, err := fixture.Load("model_retried")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	for name, c := range map[string]struct {
		change  func(*Point)
		doubled int
	}{
		"the last digit": {func(p *Point) { p.Value = math.Nextafter(p.Value, 1) }, 0},
		"another value":  {func(p *Point) { p.Value += 1e-6 }, 1},
		"another time":   {func(p *Point) { p.TimestampMS++ }, 1},
		"another step":   {func(p *Point) { p.Step++ }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			held := stateOf(t, table)
			points := held.Runs[0].Metrics[metricCost]
			twin := points[0]
			c.change(&twin)
			held.Runs[0].Metrics[metricCost] = append(points, twin)
			r := judged(t, jobs, held)
			if len(r.Doubled) != c.doubled || r.Clean() != (c.doubled == 0) {
				t.Errorf("%d things are doubled; want %d\n%s", len(r.Doubled), c.doubled, text(t, r))
			}
		})
	}
}

// TestVerdictsAreCompared by the last point of their metrics and by their tag.
func TestVerdictsAreCompared(t *testing.T) {
	requests, table, err := fixture.Load("feedback_of_several")
	if err != nil {
		t.Fatal(err)
	}
	for item, plant := range map[string]func(Run){
		"metric feedback/helpful/count": func(r Run) {
			r.Metrics[wire.FeedbackCount("helpful")] = []Point{{Value: 3}, {Value: 2, Step: 1}, {Value: 4, Step: 2}}
		},
		"metric feedback/helpful/mean": func(r Run) { delete(r.Metrics, wire.FeedbackMean("helpful")) },
		"tag feedback.helpful":         func(r Run) { r.Tags["feedback.helpful"] = "thumbs_up" },
	} {
		held := stateOf(t, table)
		plant(held.Runs[0])
		r := judged(t, jobsOf(t, requests), held)
		if found := slices.Concat(r.Lost, r.Wrong); len(found) != 1 || !strings.HasPrefix(found[0].Item, item) {
			t.Errorf("planted %s, found\n%s", item, text(t, r))
		}
	}
	held := stateOf(t, table)
	count := held.Runs[0].Metrics[wire.FeedbackCount("helpful")]
	held.Runs[0].Metrics[wire.FeedbackCount("helpful")] = append(count, Point{Value: 3, Step: -1})
	if r := judged(t, jobsOf(t, requests), held); !r.Clean() {
		t.Errorf("an earlier point counts\n%s", text(t, r))
	}
}

// TestRunsWithoutMessageAreCompared by their rows: presence and status. Of the trace, presence.
func TestRunsWithoutMessageAreCompared(t *testing.T) {
	requests, table, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	jobs[0].spans = nil
	held := stateOf(t, table)
	r := judged(t, jobs, held)
	if len(r.Unrecorded) != 6 || len(r.Lost)+len(r.Wrong)+len(r.Doubled) > 0 {
		t.Errorf("want 6 unrecorded runs and nothing else\n%s", text(t, r))
	}
	held.Runs[0].Status = "FAILED"
	held.Runs, held.Traces = held.Runs[:5], nil
	if r := judged(t, jobs, held); len(r.Wrong) != 1 || len(r.Lost) != 2 {
		t.Errorf("want a wrong status, a lost run and a lost trace\n%s", text(t, r))
	}
}

// TestFilesThatWereLeftOutAreNotMissed: the exporter's `artifacts` kept them from MLflow, and the run
// names them. What it does not name is lost, and what is there in spite of it is compared.
func TestFilesThatWereLeftOutAreNotMissed(t *testing.T) {
	requests, table, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	held := stateOf(t, table)
	r := withFiles(&held)
	name := slices.Sorted(maps.Keys(r.Artifacts))[0]
	sum := r.Artifacts[name]
	delete(r.Artifacts, name)
	if found := judged(t, jobs, held); len(found.Lost) != 1 {
		t.Errorf("a file that nobody left out is missing\n%s", text(t, found))
	}
	r.Tags[wire.TagSkipped] = "other.bin, " + name
	// Of a file that is left out nothing else is said either.
	for i, s := range jobs[0].spans {
		if f, ok := s.files[name]; ok && strings.HasSuffix(r.Tags[wire.TagKey], s.id) {
			f.truncated = true
			jobs[0].spans[i].files[name] = f
		}
	}
	if found := judged(t, jobs, held); !found.Clean() {
		t.Errorf("%s was left out\n%s", name, text(t, found))
	}
	r.Artifacts[name] = strings.Repeat("0", len(sum))
	r.Tags[wire.TagTruncated] = name
	if found := judged(t, jobs, held); len(found.Wrong) != 1 {
		t.Errorf("%s is there, and another one\n%s", name, text(t, found))
	}
}

// TestMessageWithoutRowIsWrong: what is recorded is recorded together.
func TestMessageWithoutRowIsWrong(t *testing.T) {
	requests, table, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	jobs[0].Stages = jobs[0].Stages[1:]
	if r := judged(t, jobs, stateOf(t, table)); len(r.Wrong) != 1 || len(r.Lost)+len(r.Doubled) > 0 {
		t.Errorf("want one message that is wrong\n%s", text(t, r))
	}
}

// TestJobsThatAreOffHaveNothing: whatever MLflow holds of them is wrong.
func TestJobsThatAreOffHaveNothing(t *testing.T) {
	requests, table, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, requests)
	jobs[0].Detail, jobs[0].spans = "off", nil
	if r := judged(t, jobs, State{}); !r.Clean() {
		t.Errorf("nothing is held\n%s", text(t, r))
	}
	if r := judged(t, jobs, stateOf(t, table)); len(r.Wrong) != 7 { // six runs and a trace
		t.Errorf("%d things are wrong; want 7\n%s", len(r.Wrong), text(t, r))
	}
}

func judged(t *testing.T, jobs []Job, held State) Report {
	t.Helper()
	return judgedBy(t, Terms{Experiment: experiment, Strict: true}, jobs, held)
}

func judgedBy(t *testing.T, terms Terms, jobs []Job, held State) Report {
	t.Helper()
	var list iter.Seq2[Job, error] = func(yield func(Job, error) bool) {
		for _, j := range jobs {
			if !yield(j, nil) {
				return
			}
		}
	}
	r, err := Judge(list, held, terms)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r Report) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// withFiles is a run that has artifacts.
func withFiles(s *State) Run {
	return s.Runs[slices.IndexFunc(s.Runs, func(r Run) bool { return len(r.Artifacts) > 0 })]
}

// jobsOf are the jobs that a database would hold from which these requests came.
func jobsOf(t *testing.T, requests []ptrace.Traces) []Job {
	t.Helper()
	all := Job{}
	for _, td := range requests {
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Fatal(err)
		}
		if err := all.add(body); err != nil {
			t.Fatal(err)
		}
	}
	var jobs []Job
	for _, s := range all.spans {
		i := slices.IndexFunc(jobs, func(j Job) bool { return j.TraceID == s.trace })
		if i < 0 {
			id, _ := strconv.ParseInt(s.text(wire.AttrJobID), 10, 64)
			i, jobs = len(jobs), append(jobs, Job{ID: id, TraceID: s.trace, State: "running"})
		}
		j := &jobs[i]
		j.spans = append(j.spans, s)
		if s.name == wire.SpanFeedback && j.Detail == "" {
			continue // alone it makes nothing
		}
		j.Detail = map[string]string{wire.DetailFull: "full", wire.DetailLifecycle: "tracking"}[s.text(wire.AttrJobDetail)]
		switch {
		case s.root():
			j.State, j.Outcome = "final", s.text(wire.AttrJobOutcome)
		case s.stage() != "":
			j.Stages = append(j.Stages, Stage{Name: s.stage(), SpanID: s.id, Failed: s.failed})
		}
	}
	return jobs
}

// stateOf is what the table says, as MLflow would hold it.
func stateOf(t *testing.T, table fixture.Expected) State {
	t.Helper()
	var s State
	for i, r := range table.Runs {
		run := Run{
			ID: r.Key + " id", Experiment: cmp.Or(r.Experiment, experiment), Name: r.Name, Status: r.Status, StartMS: r.StartMS, EndMS: r.EndMS,
			Params: copied(r.Params), Tags: copied(r.Tags), Metrics: map[string][]Point{}, Artifacts: copied(r.Artifacts),
		}
		maps.Copy(run.Tags, r.SystemTags)
		run.Tags[tagRunName] = r.Name
		run.Tags[tagNote] = strings.Join(r.NoteContains, "\n")
		if r.Parent != "" {
			run.Tags[tagParentRun] = r.Parent + " id"
		}
		for name, v := range r.Metrics {
			run.Metrics[name] = []Point{{Value: v, TimestampMS: table.Runs[i].EndMS}}
		}
		s.Runs = append(s.Runs, run)
	}
	for _, tr := range table.Traces {
		trace := Trace{
			ID: tr.ID, Experiment: cmp.Or(tr.Experiment, experiment), State: tr.State, StartMS: tr.RequestMS, DurationMS: tr.DurationMS,
			Tags: copied(tr.Tags), Metadata: map[string]string{metaSession: tr.Session, metaUser: tr.User},
		}
		trace.Tags["mlflow.traceName"] = tr.Name
		if tr.Run != "" {
			trace.Metadata[metaSourceRun] = tr.Run + " id"
		}
		if len(tr.TokenUsage) > 0 {
			b, err := json.Marshal(tr.TokenUsage)
			if err != nil {
				t.Fatal(err)
			}
			trace.Metadata[metaTokenUsage] = string(b)
		}
		for _, sp := range tr.Spans {
			trace.Spans = append(trace.Spans, Span{ID: sp.ID, Parent: sp.Parent, Name: sp.Name, Status: sp.Status})
		}
		s.Traces = append(s.Traces, trace)
	}
	return s
}

func copied(m map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, m)
	return out
}
