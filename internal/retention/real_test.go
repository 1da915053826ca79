//go:build realserver

package retention_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/retention"
	"github.com/technoshare/commentator/internal/retention/retentiontest"
	"github.com/technoshare/commentator/test/sandbox"
)

const (
	jobs = 60 // one every three days, the first 200 days ago
	old  = 37 // of them are older than 90 days
)

// site is a real MLflow on a directory, and mlflowctl.
type site struct {
	*testing.T
	server  *mlflowtest.Real
	client  *mlflow.Client
	store   retentiontest.Store
	program string
}

func start(t *testing.T, dir, program string) *site {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	server, err := mlflowtest.StartReal(t.Context(), mlflowtest.RealConfig{Python: os.Getenv("MLFLOW_TEST_PYTHON"), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	client, err := server.Client()
	if err != nil {
		server.Stop()
		t.Fatal(err)
	}
	return &site{t, server, client, retentiontest.Store{Database: server.Database(), Artifacts: server.Artifacts()}, program}
}

func (s *site) stop() {
	s.client.Close()
	s.server.Stop()
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// post asks for what the client of this project does not ask for.
func (s *site) post(path string, in map[string]any) map[string]any {
	s.Helper()
	body, err := json.Marshal(in)
	s.must(err)
	res, err := http.Post(s.server.URL+path, "application/json", bytes.NewReader(body))
	s.must(err)
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode != http.StatusOK {
		s.Fatalf("POST %s: %s %v %v", path, res.Status, out, err)
	}
	return out
}

// populate writes one job through MLflow, multiplies it, and protects some of the old ones.
func (s *site) populate() {
	s.Helper()
	ctx := s.Context()
	team, err := s.client.CreateExperiment(ctx, "team")
	s.must(err)
	at := func(i int) time.Time { return time.Now().Add(-time.Duration(200-3*i) * 24 * time.Hour) }
	first, err := retentiontest.Write(ctx, s.client, team, 0, at(0))
	s.must(err)
	var starts []time.Time
	for i := 1; i < jobs; i++ {
		starts = append(starts, at(i))
	}
	more, err := s.store.Multiply(ctx, first, 1, starts)
	s.must(err)
	s.readable(team, first, more)

	gone, err := s.client.CreateExperiment(ctx, "gone")
	s.must(err)
	_, err = retentiontest.Write(ctx, s.client, gone, 1000, at(0))
	s.must(err)
	s.must(s.client.DeleteExperiment(ctx, gone))

	// Jobs 3 to 6 are old and needed.
	s.must(s.client.SetTag(ctx, more[2].Runs[4], retention.Keep, ""))
	s.post("/api/2.0/mlflow/registered-models/create", map[string]any{"name": "model"})
	s.post("/api/2.0/mlflow/model-versions/create", map[string]any{"name": "model", "source": "mlflow-artifacts:/1/" + more[3].Root + "/artifacts", "run_id": more[3].Root})
	s.post("/api/2.0/mlflow/logged-models", map[string]any{"experiment_id": team, "name": "logged", "source_run_id": more[4].Runs[1]})
	created := s.post("/api/3.0/mlflow/datasets/create", map[string]any{"name": "set", "experiment_ids": []string{team}})
	set, _ := created["dataset"].(map[string]any)
	records, err := json.Marshal([]any{map[string]any{
		"inputs": map[string]any{"q": 1}, "source": map[string]any{"source_type": "TRACE", "source_data": map[string]any{"trace_id": "tr-" + more[5].Trace}},
	}})
	s.must(err)
	s.post("/api/3.0/mlflow/datasets/"+set["dataset_id"].(string)+"/records", map[string]any{"records": string(records)})
	// One was cleared away by hand, one was deleted by a person.
	s.must(os.RemoveAll(filepath.Join(s.store.Artifacts, team, more[7].Runs[1])))
	s.must(s.client.DeleteRun(ctx, more[8].Root))
}

// readable makes sure that MLflow takes the copies for what they look like.
func (s *site) readable(experiment string, first retentiontest.Job, more []retentiontest.Job) {
	s.Helper()
	runs, _, err := s.client.SearchRuns(s.Context(), mlflow.SearchRuns{ExperimentIDs: []string{experiment}, MaxResults: 1000})
	s.must(err)
	if len(runs) != 6*jobs {
		s.Fatalf("MLflow finds %d runs, want %d", len(runs), 6*jobs)
	}
	for _, j := range []retentiontest.Job{first, more[10], more[jobs-2]} {
		run, err := s.client.GetRun(s.Context(), j.Root)
		s.must(err)
		trace, err := s.client.GetTrace(s.Context(), "tr-"+j.Trace)
		s.must(err)
		file, err := s.client.GetArtifact(s.Context(), j.Runs[1], "evidence.json")
		s.must(err)
		linked, _, err := s.client.SearchTraces(s.Context(), mlflow.SearchTraces{ExperimentIDs: []string{experiment}, Filter: "run_id = '" + j.Root + "'"})
		s.must(err)
		if run.Info.StartTime != j.Start.UnixMilli() || len(run.Data.Metrics) != 7 || len(trace.Spans) != 12 || trace.Spans[0].Start/1e6 < j.Start.UnixMilli() ||
			len(trace.Info.Assessments) != 1 || len(file) < 19_000 || len(linked) != 1 || linked[0].TraceID != "tr-"+j.Trace {
			s.Fatalf("job %d: %+v, %d spans, %d bytes, %d linked traces", j.ID, run.Info, len(trace.Spans), len(file), len(linked))
		}
	}
}

// command is mlflowctl retention over all experiments.
func (s *site) command(args ...string) *exec.Cmd {
	all := append([]string{
		"--tracking-uri", s.server.URL, "retention", "--json", "--keep-last", "5", "--keep-for", "90d",
		"--mlflow-store", "sqlite:///" + s.store.Database, "--artifacts", s.store.Artifacts,
	}, args...)
	cmd := exec.Command(s.program, all...)
	cmd.Env, cmd.Dir = sandbox.Environ(), s.TempDir()
	return cmd
}

func (s *site) retain(args ...string) *retention.Report {
	s.Helper()
	cmd := s.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	var report retention.Report
	s.must(json.Unmarshal(out, &report))
	return &report
}

func (s *site) state() retentiontest.State {
	s.Helper()
	state, err := s.store.State(s.Context())
	s.must(err)
	return state
}

// progress is how many runs are in the trash or gone.
func (s *site) progress(all int) int {
	s.Helper()
	db, err := sql.Open("sqlite", "file:"+s.store.Database+"?mode=ro&_pragma=busy_timeout(30000)")
	s.must(err)
	defer db.Close()
	var active int
	s.must(db.QueryRow(`SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'`).Scan(&active))
	return all - active
}

// kill starts the removal and kills it when some runs have moved.
func (s *site) kill(all, moved int) {
	s.Helper()
	cmd := s.command("--apply")
	s.must(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for s.progress(all) < moved {
		select {
		case err := <-done:
			s.Fatalf("it ended before %d runs had moved: %v", moved, err)
		case <-time.After(time.Millisecond):
		}
	}
	s.must(cmd.Process.Kill())
	<-done
}

func TestRealServer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "mlflowctl")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/mlflowctl").CombinedOutput(); err != nil {
		t.Fatalf("build mlflowctl: %v\n%s", err, out)
	}
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "whole"), program)
	defer func() { s.stop() }()
	s.populate()
	before := s.state()

	// A dry run counts and changes nothing.
	plan := s.retain()
	team := plan.Experiments[1]
	const goes = old - 4
	if team.Name != "team" || team.Jobs != goes || team.Runs != 6*goes || team.Traces != goes || team.Artifacts.Files != 5*goes-1 || plan.Experiments[2].Jobs != 1 {
		t.Errorf("plan: %+v %+v", team, plan.Experiments[2])
	}
	if team.Kept[retention.Kept] != 1 || team.Kept[retention.Referred] != 3 {
		t.Errorf("kept: %v", team.Kept)
	}
	if after := s.state(); after.Digest != before.Digest {
		t.Fatal("a dry run changed something")
	}
	// Nobody writes to it, so that the copy is whole.
	if _, err := s.store.Copy(filepath.Join(dir, "killed")); err != nil {
		t.Fatal(err)
	}

	report := s.retain("--apply")
	after := s.state()
	if !after.Orphans.None() || after.Rows["runs"] != before.Rows["runs"]-6*(goes+1) || after.Files != before.Files-5*(goes+1)+1 {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if report.Freed() < before.FileBytes-after.FileBytes || after.DatabaseBytes >= before.DatabaseBytes {
		t.Errorf("freed %d: %+v", report.Freed(), report.Database)
	}
	s.rest()
	if again := s.retain("--apply"); again.Experiments[1].Runs != 0 || again.Orphans != (retention.Orphans{}) {
		t.Errorf("a second time: %+v %+v", again.Experiments[1], again.Orphans)
	}
	s.stop()

	s = start(t, filepath.Join(dir, "killed"), program)
	all := before.Rows["runs"]
	moved := s.progress(all)
	for _, more := range []int{3, 60, 150} {
		s.kill(all, moved+more)
	}
	s.retain("--apply")
	if killed := s.state(); killed.Digest != after.Digest || !killed.Orphans.None() {
		t.Errorf("killed and repeated it ends otherwise:\n%+v\n%+v", killed, after)
	}
}

// rest reads back what stayed, through MLflow, and exports a job of it.
func (s *site) rest() {
	s.Helper()
	e, err := s.client.GetExperimentByName(s.Context(), "team")
	s.must(err)
	var mark time.Time
	for _, t := range e.Tags {
		if t.Key == retention.Mark {
			mark, err = time.Parse(time.RFC3339, t.Value)
			s.must(err)
		}
	}
	if age := time.Since(mark); age < 90*24*time.Hour || age > 93*24*time.Hour {
		s.Errorf("the mark is %v", mark)
	}
	runs, _, err := s.client.SearchRuns(s.Context(), mlflow.SearchRuns{ExperimentIDs: []string{e.ID}, Filter: "params.job_id LIKE '%'", MaxResults: 1000})
	s.must(err)
	if len(runs) != jobs-old+4 {
		s.Errorf("%d jobs are left, want %d", len(runs), jobs-old+4)
	}
	for _, run := range runs {
		trace, err := s.client.GetTrace(s.Context(), "tr-"+run.Tag("otel.key"))
		s.must(err)
		if len(trace.Spans) != 12 || len(trace.Info.Assessments) != 1 {
			s.Errorf("trace of %s has %d spans", run.Info.Name, len(trace.Spans))
		}
	}
	dir := filepath.Join(s.TempDir(), "export")
	out, err := exec.CommandContext(context.Background(), s.program, "--tracking-uri", s.server.URL, "export", runs[0].Tag("otel.key"), "--to", dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "6 runs, 1 trace, 7 files") {
		s.Errorf("export: %v\n%s", err, out)
	}
}
