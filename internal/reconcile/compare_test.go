package reconcile

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/retention"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

func TestWhatMLflowHoldsIsWhole(t *testing.T) {
	r := newRig(t)
	found := r.compare()
	if !found.Whole(true) || !found.Clean() || found.Jobs != 1 || found.Runs != 6 || found.Files != 6 || found.Traces != 1 {
		t.Errorf("found %s", text(t, found.Report))
	}
}

func TestRemovedRunIsMadeAgain(t *testing.T) {
	r := newRig(t)
	r.mlflow.Purge(r.run(r.stage("stage_a")).Info.ID)
	if found := r.compare(); len(found.Lost) != 1 || found.Lost[0].Job != 1 || found.Whole(false) {
		t.Fatalf("found %s", text(t, found.Report))
	}
	lost := slices.IndexFunc(r.table.Runs, func(run fixture.Run) bool { return run.Name == "stage_a" })
	done, after := r.repair(false, func() { r.hold(r.table.Runs[lost : lost+1]) })
	if !after.Whole(true) || !slices.Equal(done.Jobs, []int64{1}) || done.Messages != len(r.requests) || !slices.Equal(r.asked, []string{wire.RepairRecreate}) {
		t.Errorf("did %+v, asked for %v; after it %s", done, r.asked, text(t, after.Report))
	}
}

func TestRepairThatChangesNothingIsSaid(t *testing.T) {
	r := newRig(t)
	if err := r.client.SetTag(t.Context(), r.run(r.stage("stage_a")).Info.ID, "stage", "other"); err != nil {
		t.Fatal(err)
	}
	r.compare()
	began := r.now
	_, after := r.repair(false, func() {})
	if len(after.Wrong) != 1 || after.Wrong[0].Run != r.run(r.stage("stage_a")).Info.ID || r.now.Sub(began) < r.comparison.Wait || !slices.Equal(r.asked, []string{wire.RepairAgain}) {
		t.Errorf("asked for %v and waited for %s; after it %s", r.asked, r.now.Sub(began), text(t, after.Report))
	}
}

func TestDeletedRunsComeBackOnlyWhenAsked(t *testing.T) {
	r := newRig(t)
	r.delete(r.stage("stage_b"))
	r.mlflow.Purge(r.run(r.stage("stage_a")).Info.ID)
	found := r.compare()
	if len(found.Lost) != 1 || len(found.Deleted) != 1 {
		t.Fatalf("found %s", text(t, found.Report))
	}
	lost := slices.IndexFunc(r.table.Runs, func(run fixture.Run) bool { return run.Name == "stage_a" })
	_, after := r.repair(false, func() { r.hold(r.table.Runs[lost : lost+1]) })
	if !after.Whole(false) || len(after.Deleted) != 1 || slices.Contains(r.sent, "stage_b") || !slices.Contains(r.sent, "stage_a") {
		t.Errorf("sent %v; after it %s", r.sent, text(t, after.Report))
	}
	_, after = r.repair(true, func() {
		if err := r.client.RestoreRun(t.Context(), r.run(r.stage("stage_b")).Info.ID); err != nil {
			t.Error(err)
		}
	})
	if !after.Whole(true) || !slices.Contains(r.sent, "stage_b") {
		t.Errorf("sent %v; after it %s", r.sent, text(t, after.Report))
	}
}

func TestJobThatWasDeletedIsLeftAlone(t *testing.T) {
	r := newRig(t)
	r.delete(r.table.Runs[0].Key)
	r.mlflow.Purge(r.run(r.stage("stage_a")).Info.ID)
	r.compare()
	done, _ := r.repair(false, func() {})
	if len(r.sent) > 0 || len(done.Left) != 1 || !strings.Contains(done.Left[0].Why, "--deleted") {
		t.Errorf("sent %v, did %+v", r.sent, done)
	}
}

func TestJobWithoutMessagesCannotBeRepaired(t *testing.T) {
	r := newRig(t)
	r.mlflow.Purge(r.run(r.stage("stage_a")).Info.ID)
	r.write(`DELETE FROM outbox`)
	if found := r.compare(); len(found.Lost) != 1 || len(found.Unrecorded) != 6 || len(found.Wrong) > 0 || found.Traces != 1 {
		t.Fatalf("found %s", text(t, found.Report))
	}
	done, after := r.repair(false, func() {})
	if len(done.Jobs) > 0 || len(done.Left) != 1 || !strings.Contains(done.Left[0].Why, "OUTBOX_KEEP_SENT") || len(after.Lost) != 1 {
		t.Errorf("did %+v; after it %s", done, text(t, after.Report))
	}
}

// TestPrunedMessagesLeaveAComparisonInPart: what is kept is compared, of the rest nothing is held
// against MLflow.
func TestPrunedMessagesLeaveAComparisonInPart(t *testing.T) {
	r := newRig(t)
	for n := len(r.requests); n > 0; n-- { // the last sent goes last
		r.write(`DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox)`)
		if found := r.compare(); !found.Whole(true) || found.Runs != 6 || found.Traces != 1 {
			t.Errorf("%d messages kept: %s", n-1, text(t, found.Report))
		}
	}
}

func TestJobsBeforeTheMarkOfRetentionAreNotMissed(t *testing.T) {
	r := newRig(t)
	r.mlflow.Purge(r.run(r.table.Runs[0].Key).Info.ID)
	for mark, retired := range map[string]int{"2026-11-20T09:01:00Z": 0, "2026-11-20T09:02:00Z": 1} {
		r.comparison.Server.experiments[r.experiment] = mlflow.Experiment{ID: r.experiment, Name: experiment, Tags: []mlflow.KeyValue{{Key: retention.Mark, Value: mark}}}
		if found := r.compare(); found.Retired != retired || found.Whole(true) != (retired == 1) {
			t.Errorf("mark %s: %d are retired\n%s", mark, found.Retired, text(t, found.Report))
		}
	}
}

// Neither the worker's settings nor its messages name the experiment: the Collector does.
func TestTheMarkIsFoundInTheCollectorsOwnExperiment(t *testing.T) {
	r := newRig(t)
	r.mlflow.Purge(r.run(r.table.Runs[0].Key).Info.ID)
	r.comparison.Experiment, r.comparison.Fallback = "", "technoshare_commentator"
	r.comparison.Server.experiments[r.experiment] = mlflow.Experiment{
		ID: r.experiment, Name: "technoshare_commentator", Tags: []mlflow.KeyValue{{Key: retention.Mark, Value: "2026-11-20T09:02:00Z"}},
	}
	if found := r.compare(); found.Retired != 1 || len(found.Lost) > 0 || !found.Whole(true) {
		t.Errorf("%d are retired\n%s", found.Retired, text(t, found.Report))
	}
}

// TestTheMarkIsFoundUnderTheNewNameOfAnExperiment: messages of before name the old one, and the settings
// the new one. An experiment that is there has its own mark, or none.
func TestTheMarkIsFoundUnderTheNewNameOfAnExperiment(t *testing.T) {
	r := newRig(t)
	r.mlflow.Purge(r.run(r.table.Runs[0].Key).Info.ID)
	for _, td := range r.requests {
		for _, rs := range td.ResourceSpans().All() {
			rs.Resource().Attributes().PutStr(wire.ResExperiment, "before")
		}
	}
	for _, table := range []string{"outbox", "stages", "jobs", "messages"} {
		r.write(`DELETE FROM ` + table)
	}
	r.record()
	r.comparison.Server.experiments[r.experiment] = mlflow.Experiment{ID: r.experiment, Name: experiment, Tags: []mlflow.KeyValue{{Key: retention.Mark, Value: "2026-11-20T09:02:00Z"}}}
	if found := r.compare(); found.Retired != 1 || !found.Whole(true) {
		t.Errorf("%d are retired\n%s", found.Retired, text(t, found.Report))
	}
	r.comparison.Server.experiments["77"] = mlflow.Experiment{ID: "77", Name: "before"}
	if found := r.compare(); found.Retired != 0 || len(found.Lost) == 0 {
		t.Errorf("there is one of the old name: %d are retired\n%s", found.Retired, text(t, found.Report))
	}
}

func TestWhatIsOnItsWayIsWaitedFor(t *testing.T) {
	r := newRig(t)
	r.write(`UPDATE outbox SET sent_at = NULL WHERE id = 1`)
	began := r.now
	if found := r.compare(); !slices.Equal(found.Waiting, []int64{1}) || found.Whole(false) || r.now.Sub(began) < r.comparison.Wait {
		t.Errorf("waiting %v after %s", found.Waiting, r.now.Sub(began))
	}
	// The Collector has had the last message for a second, and MLflow gets it in another two.
	r.mlflow.Purge(r.run(r.stage("stage_a")).Info.ID)
	lost := slices.IndexFunc(r.table.Runs, func(run fixture.Run) bool { return run.Name == "stage_a" })
	r.write(`UPDATE outbox SET sent_at = ` + micros(r.now.Add(-time.Second)) + ` WHERE id = 1`)
	arrives := r.now.Add(2 * time.Second)
	sleep := r.comparison.Sleep
	r.comparison.Sleep = func(ctx context.Context, d time.Duration) error {
		if before := r.now; before.Before(arrives) && !before.Add(d).Before(arrives) {
			r.hold(r.table.Runs[lost : lost+1])
		}
		return sleep(ctx, d)
	}
	if found := r.compare(); !found.Whole(true) || r.now.Before(arrives) || r.now.After(arrives.Add(pollTo)) {
		t.Errorf("%s after it arrived: %s", r.now.Sub(arrives), text(t, found.Report))
	}
}

func TestJobsThatWereOpenWhenTheDatabaseWasCopiedAreNotCompared(t *testing.T) {
	r := newRig(t)
	r.write(`UPDATE meta SET value = 'c0ffee00-1234-4abc-8def-0123456789ab' WHERE key = 'store_id'`)
	records, err := OpenRecords(t.Context(), r.database)
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	r.comparison.Records = records
	if found := r.compare(); found.Copied != 1 || found.Jobs != 0 || !found.Whole(true) {
		t.Errorf("found %+v", found)
	}
}

// TestWaitingLeavesMLflowAlone: a job that has not arrived is read when the waiting begins and when
// it ends; in between one question is asked.
func TestWaitingLeavesMLflowAlone(t *testing.T) {
	r := newRig(t)
	own := r.run(r.table.Runs[0].Key).Info.ID
	if err := r.client.UpdateRun(t.Context(), mlflow.UpdateRun{RunID: own, Status: mlflow.StatusRunning}); err != nil {
		t.Fatal(err)
	}
	r.write(`UPDATE outbox SET sent_at = ` + micros(r.now))
	r.mlflow.Reset()
	if found := r.compare(); len(found.Wrong) != 1 {
		t.Errorf("found %s", text(t, found.Report))
	}
	read, asked := 0, 0
	for _, call := range r.mlflow.Calls() {
		switch {
		case strings.HasSuffix(call, "/artifacts/list"):
			read++
		case strings.HasSuffix(call, "/runs/search"):
			asked++
		}
	}
	if read != 2*len(r.table.Runs) || asked < 10 {
		t.Errorf("artifacts were listed %d times and runs looked for %d times; want %d and some", read, asked, 2*len(r.table.Runs))
	}
}

func TestOpenAndUnrecordedJobsAreOnlyCounted(t *testing.T) {
	r := newRig(t)
	r.write(`INSERT INTO jobs (id, message_id, created_at) VALUES (2, 1, 1)`)
	r.write(`INSERT INTO jobs (id, message_id, state, outcome, detail, created_at, started_at, finished_at) VALUES (3, 1, 'final', 'success', 'off', 1, 1, 1)`)
	if found := r.compare(); found.Open != 1 || found.Off != 1 || found.Jobs != 1 || !found.Whole(true) {
		t.Errorf("found %+v", found)
	}
	since, err := r.comparison.Since(t.Context(), r.now)
	if err != nil || since.Jobs != 0 || since.Open != 1 || since.Off != 0 {
		t.Errorf("of jobs that ended later %+v, %v", since, err)
	}
}

// A name that somebody gave a run is no difference and is said once; a repair leaves it.
func TestARenamedRunIsNamedAndLeftAlone(t *testing.T) {
	r := newRig(t)
	id := r.run(r.table.Runs[0].Key).Info.ID
	if err := r.client.UpdateRun(t.Context(), mlflow.UpdateRun{RunID: id, Name: "the good one"}); err != nil {
		t.Fatal(err)
	}
	found := r.compare()
	if !found.Whole(true) || len(found.Renamed) != 1 || found.Renamed[0].Run != id || found.Renamed[0].Detail != `somebody called it "the good one"` {
		t.Errorf("found %+v", found)
	}
	if done, _ := r.repair(true, func() {}); done.Messages != 0 {
		t.Errorf("repaired %+v", done)
	}
}
