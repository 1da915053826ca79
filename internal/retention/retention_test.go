package retention

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/test/race"
)

func TestOldJobsGoWithAllThatIsTheirs(t *testing.T) {
	r := newRig(t)
	r.job("a1", days(300))
	r.job("a2", days(200))
	r.job("a3", days(100)) // old, but among the last two
	r.job("a4", days(10))
	r.run("b1", 2, "", days(300)) // of another experiment
	before := r.state()
	plan, err := r.retain(false)
	if err != nil {
		t.Fatal(err)
	}
	if r.state() != before {
		t.Fatal("a dry run changed something")
	}
	of := plan.Experiments[0]
	if of.Jobs != 2 || of.Runs != 4 || of.Traces != 2 || of.Artifacts != (size{4, 40}) || of.Kept[Last] != 2 || plan.Database.Payload == 0 {
		t.Errorf("plan: %+v, payload %d", of, plan.Database.Payload)
	}
	done, err := r.retain(true)
	if err != nil || len(done.Problems) > 0 || !done.Applied {
		t.Fatal(err, done)
	}
	if got, want := r.names(), []string{"a3", "a3/s", "a4", "a4/s", "b1"}; !slices.Equal(got, want) {
		t.Errorf("runs %v are left, want %v", got, want)
	}
	for table, want := range map[string]int{"params": 5, "metrics": 5, "latest_metrics": 5, "trace_info": 2, "spans": 2, "trace_tags": 2, "entity_associations": 2} {
		var got int
		if err := r.db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&got); err != nil || got != want {
			t.Errorf("%d rows of %s are left, want %d (%v)", got, table, want, err)
		}
	}
	if dirs, err := os.ReadDir(filepath.Join(r.artifacts, "1")); err != nil || len(dirs) != 4 {
		t.Errorf("%d directories are left, want 4 (%v)", len(dirs), err)
	}
	var mark string
	if err := r.db.QueryRow(`SELECT value FROM experiment_tags WHERE key = ? AND experiment_id = 1`, Mark).Scan(&mark); err != nil {
		t.Fatal(err)
	}
	// The latest that went is the stage of a2.
	if at, err := time.Parse(time.RFC3339, mark); err != nil || !at.Equal(days(200).Add(time.Second+time.Millisecond)) {
		t.Errorf("mark %q, %v", mark, err)
	}
	if again, err := r.retain(true); err != nil || again.Experiments[0].Runs != 0 || again.Orphans != (Orphans{}) {
		t.Errorf("a second time finds %+v %+v, %v", again.Experiments[0], again.Orphans, err)
	}
}

// Each of these protects a job that is old enough to go, with its stage and its trace.
func TestWhatIsNeededStays(t *testing.T) {
	for name, c := range map[string]struct {
		reason Reason
		needed func(r *rig, run, trace string)
	}{
		"open run":      {Open, func(r *rig, run, _ string) { r.exec(`UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?`, run) }},
		"scheduled run": {Open, func(r *rig, run, _ string) { r.exec(`UPDATE runs SET status = 'SCHEDULED' WHERE run_uuid = ?`, run) }},
		"open stage": {Open, func(r *rig, _, _ string) {
			r.exec(`UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?`, id("old/s"))
		}},
		"open trace": {Open, func(r *rig, _, trace string) {
			r.exec(`UPDATE trace_info SET status = 'IN_PROGRESS' WHERE request_id = ?`, trace)
		}},
		"young stage":  {Young, func(r *rig, _, _ string) { r.run("late", 1, "old", days(3)) }},
		"tagged stage": {Kept, func(r *rig, _, _ string) { r.exec(`INSERT INTO tags VALUES (?, '', ?)`, Keep, id("old/s")) }},
		"tagged trace": {Kept, func(r *rig, _, trace string) {
			r.exec(`INSERT INTO trace_tags (request_id, key, value) VALUES (?, ?, '')`, trace, Keep)
		}},
		"young trace too": {Young, func(r *rig, run, _ string) { r.trace("new", days(3), run) }},
		"registered model": {Referred, func(r *rig, run, _ string) {
			r.exec(`INSERT INTO registered_models (name) VALUES ('m')`)
			r.exec(`INSERT INTO model_versions (name, version, run_id, current_stage) VALUES ('m', 1, ?, 'None')`, run)
		}},
		"source of a registered model": {Referred, func(r *rig, _, _ string) {
			r.exec(`INSERT INTO registered_models (name) VALUES ('m')`)
			r.exec(`INSERT INTO model_versions (name, version, source) VALUES ('m', 1, ?)`, "mlflow-artifacts:/1/"+id("old/s")+"/artifacts/model")
		}},
		"logged model": {Referred, func(r *rig, run, _ string) {
			r.exec(`INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status, source_run_id) VALUES ('m-1', 1, 'm', '', 1, 1, 1, ?)`, run)
		}},
		"evaluation dataset": {Referred, func(r *rig, _, trace string) {
			r.exec(`INSERT INTO evaluation_datasets (dataset_id, name) VALUES ('d-1', 'd')`)
			r.exec(`INSERT INTO evaluation_dataset_records (dataset_record_id, dataset_id, inputs, source, source_id, source_type, input_hash) VALUES ('dr-1', 'd-1', '{}', '{}', ?, 'TRACE', 'h')`, trace)
		}},
		"issue": {Referred, func(r *rig, run, _ string) {
			r.exec(`INSERT INTO issues (issue_id, experiment_id, name, description, status, created_timestamp, last_updated_timestamp, source_run_id) VALUES ('iss-1', 1, 'i', '', 'open', 1, 1, ?)`, run)
		}},
		"pending review": {Referred, func(r *rig, _, trace string) {
			r.exec(`INSERT INTO review_queues (queue_id, experiment_id, name, name_key, queue_type, creation_time_ms, last_update_time_ms) VALUES ('q', 1, 'q', 'q', 'x', 1, 1)`)
			r.exec(`INSERT INTO review_queue_items (queue_id, item_type, item_id, status, creation_time_ms, last_update_time_ms) VALUES ('q', 'trace', ?, 'pending', 1, 1)`, trace)
		}},
		"run that judged a young trace": {Last, func(r *rig, run, _ string) {
			young := r.trace("judged", days(3))
			r.exec(`INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp, last_updated_timestamp, source_type, valid, assessment_metadata)
				VALUES ('a-1', ?, 'n', 'feedback', '1', 1, 1, 'CODE', 1, ?)`, young, fmt.Sprintf(`{"mlflow.assessment.sourceRunId": "%s"}`, run))
		}},
		"trace that a young evaluation used": {Young, func(r *rig, _, trace string) {
			evaluation := r.run("evaluation", 1, "", days(3))
			r.exec(`INSERT INTO entity_associations VALUES ('a-x', 'trace', ?, 'run', ?, 1)`, trace, evaluation)
		}},
		"nested in a run of another experiment": {Elsewhere, func(r *rig, run, _ string) {
			r.run("above", 2, "", days(300))
			r.exec(`INSERT INTO tags VALUES (?, ?, ?)`, "mlflow.parentRunId", id("above"), run)
		}},
		"files in a bucket": {Remote, func(r *rig, run, _ string) {
			r.exec(`UPDATE runs SET artifact_uri = 's3://bucket/1/' || run_uuid || '/artifacts' WHERE run_uuid = ?`, run)
		}},
		"files at an address that is none": {Remote, func(r *rig, _, _ string) {
			r.exec(`UPDATE runs SET artifact_uri = 'httq://%zz' WHERE run_uuid = ?`, id("old/s"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			run, trace := r.job("old", days(300))
			r.job("z1", days(2)) // the last two
			r.job("z2", days(1))
			r.job("goes", days(400))
			c.needed(r, run, trace)
			done, err := r.retain(true)
			if err != nil || len(done.Problems) > 0 {
				t.Fatal(err, done)
			}
			names := r.names()
			if !slices.Contains(names, "old") || !slices.Contains(names, "old/s") || slices.Contains(names, "goes") || slices.Contains(names, "goes/s") {
				t.Errorf("runs %v are left", names)
			}
			if done.Experiments[0].Kept[c.reason] == 0 || done.Experiments[0].Jobs != 1 {
				t.Errorf("%+v, want reason %s", done.Experiments[0], c.reason)
			}
			var text strings.Builder
			if err := done.Print(&text); err != nil || (c.reason == Remote) != strings.Contains(text.String(), "Stays with its job: artifact address") {
				t.Errorf("%v\n%s", err, text.String())
			}
			var traces int
			if err := r.db.QueryRow(`SELECT count(*) FROM trace_info WHERE request_id = ?`, trace).Scan(&traces); err != nil || traces != 1 {
				t.Errorf("%d traces are left of it, %v", traces, err)
			}
			if _, err := os.Stat(filepath.Join(r.artifacts, "1", run)); err != nil {
				t.Error(err)
			}
		})
	}
}

// What `mlflow gc` dies of, or leaves: `make bench-retention` shows it beside this.
func TestOddRunsGoToo(t *testing.T) {
	r := newRig(t)
	r.job("z1", days(2))
	r.job("z2", days(1))
	run, _ := r.job("no files", days(300))
	if err := os.RemoveAll(filepath.Join(r.artifacts, "1", run)); err != nil {
		t.Fatal(err)
	}
	run, _ = r.job("no address", days(301))
	r.exec(`UPDATE runs SET artifact_uri = NULL WHERE run_uuid = ?`, run)
	run, _ = r.job("trashed long ago", days(302))
	r.exec(`UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = NULL WHERE run_uuid = ?`, run)
	r.run("stage of nothing", 1, "gone", days(303))
	r.trace("trace of nothing", days(304), id("gone"))
	r.run("in a deleted experiment", 2, "", days(305))
	r.exec(`UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 2`)
	own := filepath.Join(t.TempDir(), "mlruns")
	run = r.run("in a directory of its own", 1, "", days(306))
	if err := os.MkdirAll(filepath.Join(own, run, "artifacts"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.exec(`UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?`, "file://"+own+"/"+run+"/artifacts", run)
	done, err := r.retain(true, "team", "other")
	if err != nil || len(done.Problems) > 0 {
		t.Fatal(err, done)
	}
	// The run in experiment 2 is its last one.
	if got, want := r.names(), []string{"in a deleted experiment", "z1", "z1/s", "z2", "z2/s"}; !slices.Equal(got, want) {
		t.Errorf("runs %v are left, want %v", got, want)
	}
	if done.Orphans.Traces != 1 {
		t.Errorf("orphans: %+v", done.Orphans)
	}
	if left, err := os.ReadDir(own); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestWhatHasNoOwnerGoes(t *testing.T) {
	r := newRig(t)
	r.job("z1", days(2))
	r.file("1/"+id("gone")+"/artifacts/file", days(2))
	r.file("1/"+id("fresh")+"/artifacts/file", now.Add(-time.Hour))
	r.file("1/traces/tr-"+id("gone")+"/artifacts/traces.json", days(2))
	r.file("1/models/m-"+id("gone")+"/artifacts/MLmodel", days(2))
	r.file("1/somebody's/file", days(2))
	r.file("1/empty/x", days(2))
	if err := os.MkdirAll(filepath.Join(r.artifacts, "1", id("empty")), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(r.artifacts, "1", id("empty")), days(2), days(2)); err != nil {
		t.Fatal(err)
	}
	r.exec(`PRAGMA foreign_keys = 0; INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES ('m', 1, 1, 1, 0, 'gone')`)
	r.exec(`INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id) VALUES ('i', 'DATASET', 'd', 'RUN', 'gone'), ('j', 'DATASET', 'e', 'RUN', ?)`, id("z1"))
	r.exec(`INSERT INTO input_tags VALUES ('i', 'n', 'v'), ('j', 'n', 'v')`)
	r.exec(`INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source) VALUES ('d', 1, 'd', 'x', 's', 's'), ('e', 1, 'e', 'x', 's', 's')`)
	r.exec(`INSERT INTO entity_associations VALUES ('a-1', 'trace', 'tr-gone', 'run', 'gone', 1), ('a-2', 'trace', 'tr-coming', 'run', ?, ?)`, id("z1"), now.UnixMilli())
	plan, err := r.retain(false)
	if err != nil {
		t.Fatal(err)
	}
	done, err := r.retain(true)
	if err != nil || len(done.Problems) > 0 {
		t.Fatal(err, done)
	}
	if plan.Orphans.Directories != 4 || plan.Orphans.Files != (size{3, 30}) || plan.Orphans.Rows < 3 {
		t.Errorf("counted: %+v", plan.Orphans)
	}
	state := r.state()
	for _, gone := range []string{"/" + id("gone"), "tr-" + id("gone"), "m-" + id("gone"), "|gone", "datasets|d|", "input_tags|i|", "a-1"} {
		if strings.Contains(state, gone) {
			t.Errorf("%s is left", gone)
		}
	}
	for _, there := range []string{"/" + id("fresh"), "somebody's", "datasets|e|", "input_tags|j|", "a-2", "z1/s"} {
		if !strings.Contains(state, there) {
			t.Errorf("%s is gone", there)
		}
	}
	if _, err := os.Stat(filepath.Join(r.artifacts, "1", id("empty"))); !os.IsNotExist(err) {
		t.Errorf("an empty directory is left: %v", err)
	}
}

// old fills a rig with jobs that go, more than one batch.
func (r *rig) old(n int) {
	for i := range n {
		r.job(fmt.Sprintf("j%03d", i), days(200+i))
	}
	r.job("z1", days(2))
	r.job("z2", days(1))
	r.exec(`UPDATE runs SET deleted_time = 1`) // as the stub of the API sets it
}

// Wherever it is interrupted, the next time ends as if it had not been.
func TestInterruptedAnywhereTheNextTimeEndsTheSame(t *testing.T) {
	start := newRig(t)
	start.old(65)
	whole := start.copied()
	if _, err := whole.retain(true); err != nil {
		t.Fatal(err)
	}
	want, calls := whole.state(), whole.calls
	for at := 1; at <= calls; at += race.Pick(1, 5) + at/5 {
		r := start.copied()
		// The process ends with the call: nothing of what would follow is done.
		ctx, cancel := context.WithCancel(t.Context())
		r.before = func(string) {
			if r.calls == at {
				cancel()
			}
		}
		o := Options{
			Rule: Rule{Last: 2, Age: 90 * 24 * time.Hour, Now: now}, Server: r, Endpoint: "http://mlflow",
			Store: "sqlite:///" + r.store, Artifacts: r.artifacts, Experiments: []string{"team"}, LockFor: time.Minute,
		}
		before := r.runs()
		cut, err := Run(ctx, o, true)
		if err == nil {
			t.Fatalf("interrupted at call %d it ended well", at)
		}
		if cut != nil && cut.Applied && cut.Experiments[0].Runs != before-r.runs() {
			t.Errorf("interrupted at call %d it says that %d runs are gone, and %d are", at, cut.Experiments[0].Runs, before-r.runs())
		}
		r.before = nil
		if done, err := r.retain(true); err != nil || len(done.Problems) > 0 {
			t.Fatalf("after call %d: %v %v", at, err, done)
		}
		if got := r.state(); got != want {
			t.Errorf("interrupted at call %d it ends otherwise", at)
		}
	}
}

func TestOneFailedBatchDoesNotKeepTheOthers(t *testing.T) {
	r := newRig(t)
	r.old(65)
	r.failAt = 20 // within the first batch
	before := r.runs()
	done, err := r.retain(true)
	if err != nil || len(done.Problems) != 1 || !strings.Contains(done.Problems[0], errCut.Error()) {
		t.Fatal(err, done)
	}
	if left := r.runs(); left <= 4 || left > 4+batch || done.Experiments[0].Runs != before-left {
		t.Errorf("%d runs are left of %d, and %d are gone by the report", left, before, done.Experiments[0].Runs)
	}
	if _, err := r.retain(true); err != nil || len(r.names()) != 4 {
		t.Errorf("the next time leaves %v, %v", r.names(), err)
	}
}

// Batches that fail one after the other are the fault of all: what was not begun is not touched.
func TestBatchesThatFailInARowEndIt(t *testing.T) {
	start := newRig(t)
	start.old(4*batch/2 + 1) // of two runs each: four batches, and one job more
	for _, c := range []struct {
		name           string
		fails          func(batch int) bool
		tried, problem int
		err            error
	}{
		{"all", func(int) bool { return true }, patience, patience - 1, errCut},
		{"never three in a row", func(n int) bool { return n != 3 }, 5, 4, nil},
		{"the last three", func(n int) bool { return n > 2 }, 5, 2, errCut},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start.copied()
			r.T = t
			all, tried := r.runs()-4, 0
			r.fails = func(call string) bool {
				if call != "traces" { // one call a batch
					return false
				}
				tried++
				return c.fails(tried)
			}
			var told [][2]int
			r.progress = func(done, all int) { told = append(told, [2]int{done, all}) }
			report, err := r.retain(true)
			if !errors.Is(err, c.err) || tried != c.tried || report == nil || len(report.Problems) < c.problem {
				t.Fatalf("%d batches were tried, want %d; %v, %+v", tried, c.tried, err, report)
			}
			var want [][2]int
			for n := range c.tried {
				want = append(want, [2]int{min((n+1)*batch, all), all})
			}
			if c.err != nil { // the last one was not done
				want = want[:len(want)-1]
			}
			if !slices.Equal(told, want) {
				t.Errorf("told %v, want %v", told, want)
			}
			jobs := 0
			for _, name := range r.names() {
				if !strings.ContainsAny(name, "(/") {
					jobs++
				}
			}
			if want := 2 + max(0, all-c.tried*batch)/2; jobs != want {
				t.Errorf("%d jobs are neither gone nor in the trash, want %d", jobs, want)
			}
		})
	}
}

// What MLflow could not do at the moment is asked again, and what it refuses is not.
func TestMLflowIsAskedAgain(t *testing.T) {
	defer func(was []time.Duration) { pauses = was }(pauses)
	pauses = []time.Duration{1, 1}
	for _, c := range []struct {
		err  error
		asks int
	}{
		{&mlflow.Error{Status: http.StatusServiceUnavailable}, 3}, {&mlflow.Error{Status: http.StatusBadRequest}, 1}, {errCut, 1}, {nil, 1},
	} {
		asks := 0
		if err := again(t.Context(), func() error { asks++; return c.err }); !errors.Is(err, c.err) || asks != c.asks {
			t.Errorf("%v: asked %d times, want %d; %v", c.err, asks, c.asks, err)
		}
	}
}

// Somebody tags, uses or restores a run between the plan and its removal.
func TestWhatChangesMeanwhileStays(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"tagged":   func(r *rig) { r.exec(`INSERT OR IGNORE INTO tags VALUES (?, '', ?)`, Keep, id("old/s")) },
		"reopened": func(r *rig) { r.exec(`UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?`, id("old/s")) },
		"registered": func(r *rig) {
			r.exec(`INSERT OR IGNORE INTO registered_models (name) VALUES ('m')`)
			r.exec(`INSERT OR IGNORE INTO model_versions (name, version, run_id) VALUES ('m', 1, ?)`, id("old"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.job("old", days(300))
			r.job("goes", days(301))
			r.job("z1", days(2))
			r.job("z2", days(1))
			r.before = func(call string) {
				if call == "delete" {
					change(r)
				}
			}
			done, err := r.retain(true)
			if err != nil || len(done.Problems) > 0 {
				t.Fatal(err, done)
			}
			if got, want := r.names(), []string{"old", "old/s", "z1", "z1/s", "z2", "z2/s"}; !slices.Equal(got, want) {
				t.Errorf("runs %v are left, want %v", got, want)
			}
			if _, err := os.Stat(filepath.Join(r.artifacts, "1", id("old"), "artifacts", "file")); err != nil {
				t.Error(err)
			}
			if done.Experiments[0].Jobs != 1 {
				t.Errorf("%+v", done.Experiments[0])
			}
		})
	}
}

func TestSpaceIsGivenBack(t *testing.T) {
	r := newRig(t)
	big := strings.Repeat("x", 5000)
	fill := func(prefix string, first int) {
		for i := range 100 {
			run, _ := r.job(fmt.Sprintf("%s%03d", prefix, i), days(first+i))
			r.exec(`INSERT INTO tags VALUES ('big', ?, ?)`, big, run)
		}
	}
	fill("a", 400)
	r.job("z1", days(2))
	r.job("z2", days(1))
	first, err := r.retain(true)
	if err != nil || first.Database.Note != "" || first.Database.Before-first.Database.After < 400_000 {
		t.Fatal(err, first)
	}
	if info, err := os.Stat(r.store); err != nil || info.Size() != first.Database.After {
		t.Errorf("the file is %v bytes long, told %d (%v)", info.Size(), first.Database.After, err)
	}
	fill("b", 400) // the second time step by step
	second, err := r.retain(true)
	if err != nil || second.Database.Note != "" || second.Database.Before-second.Database.After < 400_000 {
		t.Fatal(err, second)
	}
	if info, err := os.Stat(r.store); err != nil || info.Size() != second.Database.After {
		t.Errorf("the file is %v bytes long, told %d (%v)", info.Size(), second.Database.After, err)
	}
	var ok string
	if err := r.db.QueryRow(`PRAGMA integrity_check`).Scan(&ok); err != nil || ok != "ok" {
		t.Errorf("integrity: %s, %v", ok, err)
	}
}
