package apply_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

const worker = "0123456789abcdef0123456789abcdef"

// firstDay is the day of startMS, at noon.
var firstDay = time.UnixMilli(startMS).UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)

// serviceRun is the run of a day, counted from firstDay, with a point at each of the
// minutes after noon.
func (e *env) serviceRun(day int, minutes ...int) service.Run {
	noon := firstDay.AddDate(0, 0, day)
	name := noon.Format(time.DateOnly)
	r := service.Run{
		Worker: worker, Day: name, Experiment: e.experiment + "_service", Name: name + " 0123 worker", Note: "what it is",
		Tags: []service.Tag{{Key: "component", Value: "service"}, {Key: mlflow.TagUser, Value: "somebody"}, {Key: "service.version", Value: "1"}},
	}
	for _, m := range minutes {
		r.Points = append(r.Points, service.Point{Key: "job.active", Value: float64(m), TimeMS: noon.Add(time.Duration(m) * time.Minute).UnixMilli(), Step: int64(12*60 + m)})
	}
	return r
}

func (e *env) mustApplyService(t *testing.T, runs ...service.Run) {
	t.Helper()
	err := e.ApplyService(t.Context(), runs)
	for attempt := 0; attempt < 5 && err != nil; attempt++ {
		t.Logf("again after: %v", err)
		err = e.ApplyService(t.Context(), runs)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// serviceRuns reads back name, status, end and number of points of the runs, sorted.
func (e *env) serviceRuns(t *testing.T) []string {
	t.Helper()
	exp, err := e.client.GetExperimentByName(t.Context(), e.experiment+"_service")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(exp.Tags, mlflow.KeyValue{Key: mlflow.TagExperiment, Value: mlflow.ExperimentCustom}) {
		t.Errorf("experiment has tags %v", exp.Tags)
	}
	state, err := mlflowtest.Read(t.Context(), e.client, exp.ID)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for key, r := range state.Runs {
		if r.Tags[mlflow.TagNote] != "what it is" {
			t.Errorf("run %s is described as %q", key, r.Tags[mlflow.TagNote])
		}
		end := "-"
		if r.End > 0 {
			end = time.UnixMilli(r.End).UTC().Format("15:04")
		}
		if !strings.HasPrefix(key, "service-"+worker+"-") || r.User != "somebody" || r.Tags["component"] != "service" {
			t.Errorf("run %s of %s has tags %v", key, r.User, r.Tags)
		}
		day := time.UnixMilli(r.Start).UTC().Truncate(24*time.Hour).Sub(firstDay.Truncate(24*time.Hour)) / (24 * time.Hour)
		out = append(out, strings.Join([]string{"day", string(rune('0' + day)), r.Status, end, r.Tags["service.version"], strings.Join(r.Metrics["job.active"], " ")}, " "))
	}
	slices.Sort(out)
	for i := range out { // the times of points are known from their steps
		out[i] = withoutTimes(out[i])
	}
	return out
}

func withoutTimes(s string) string {
	fields := strings.Fields(s)
	for i, f := range fields {
		if value, rest, ok := strings.Cut(f, "@"); ok {
			_, step, _ := strings.Cut(rest, "/")
			fields[i] = value + "/" + step
		}
	}
	return strings.Join(fields, " ")
}

func (e *env) checkService(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, e.serviceRuns(t)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestServiceRunLastsItsDay(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApplyService(t, e.serviceRun(0, 1))
		e.requests.take()
		e.mustApplyService(t, e.serviceRun(0, 2))
		e.took(t, 1)
		e.mustApplyService(t, e.serviceRun(0, 2)) // the same once more is the same
		e.checkService(t, "day 0 RUNNING - 1 1/721 2/722")
		e.restart(t)
		again := e.serviceRun(0, 3)
		again.Retag, again.Tags[2].Value = true, "2"
		e.mustApplyService(t, again)
		e.checkService(t, "day 0 RUNNING - 2 1/721 2/722 3/723")
		e.mustApplyService(t, e.serviceRun(1, 4))
		e.checkService(t, "day 0 FINISHED 12:03 2 1/721 2/722 3/723", "day 1 RUNNING - 1 4/724")
	})
}

func TestServiceRunsInAnyOrder(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApplyService(t, e.serviceRun(1, 1), e.serviceRun(2, 2))
		e.mustApplyService(t, e.serviceRun(0, 3))
		e.mustApplyService(t, e.serviceRun(1, 4))
		e.checkService(t, "day 0 FINISHED 12:03 1 3/723", "day 1 FINISHED 12:01 1 1/721 4/724", "day 2 RUNNING - 1 2/722")
	})
}

func TestServiceRunIsFoundWhenTheLedgerIsLost(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApplyService(t, e.serviceRun(0, 1))
		e.lose(t)
		e.mustApplyService(t, e.serviceRun(0, 2))
		e.checkService(t, "day 0 RUNNING - 1 1/721 2/722")
	})
}

func TestDeletedServiceRunStaysDeleted(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApplyService(t, e.serviceRun(0, 1))
		exp, err := e.client.GetExperimentByName(t.Context(), e.experiment+"_service")
		if err != nil {
			t.Fatal(err)
		}
		runs, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{ExperimentIDs: []string{exp.ID}})
		if err != nil || len(runs) != 1 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		if err := e.client.DeleteRun(t.Context(), runs[0].Info.ID); err != nil {
			t.Fatal(err)
		}
		e.mustApplyService(t, e.serviceRun(0, 2))
		e.mustApplyService(t, e.serviceRun(0, 3))
		if n := e.events.get(apply.EventDeletedRun); n != 2 {
			t.Errorf("counted %d, want one for each message", n)
		}
	})
}

// What MLflow refuses for good does not come again; what it cannot take now does.
func TestServiceRunWhoseServerFails(t *testing.T) {
	e, s := faulty(t)
	answer := mlflowtest.Locked()
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/log-batch") {
			return answer
		}
		return nil
	})
	if err := e.ApplyService(t.Context(), []service.Run{e.serviceRun(0, 1)}); err == nil {
		t.Fatal("a locked database is no error")
	}
	answer = nil
	e.mustApplyService(t, e.serviceRun(0, 1))
	e.checkService(t, "day 0 RUNNING - 1 1/721")
	answer = &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}
	if err := e.ApplyService(t.Context(), []service.Run{e.serviceRun(0, 2, 3)}); err != nil {
		t.Error(err)
	}
	if n := e.events.get(apply.EventRefusedMetric); n != 2 {
		t.Errorf("counted %d", n)
	}
	answer = nil
	e.mustApplyService(t, e.serviceRun(20, 1))
	e.mustApplyService(t, e.serviceRun(2, 1)) // over for 18 days
	if n := e.events.get(apply.EventRefusedMetric); n != 3 {
		t.Errorf("counted %d", n)
	}
}

// The day of a worker that was stopped ends without the next one; what it says later the
// same day goes on in its run.
func TestServiceRunOfAStoppedWorkerFinishes(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		ended := &counter{}
		e.cfg.Finished = func(status string) { ended.add(status, 1) }
		e.restart(t)
		e.mustApplyService(t, e.serviceRun(0, 1))
		e.pass(t, staleAfter)
		runs := e.serviceRuns(t)
		if len(runs) != 1 || !strings.HasPrefix(runs[0], "day 0 FINISHED") || strings.Contains(runs[0], " - ") {
			t.Errorf("after the worker stopped: %v", runs)
		}
		if n, killed := e.events.get(apply.EventStaleRun), ended.get(mlflow.StatusKilled); n != 0 || killed != 0 {
			t.Errorf("counted %d as dropped and %d as KILLED although it ended as it should", n, killed)
		}
		e.mustApplyService(t, e.serviceRun(0, 2))
		runs = e.serviceRuns(t)
		if len(runs) != 1 || !strings.HasPrefix(runs[0], "day 0 RUNNING") {
			t.Errorf("after it started again: %v", runs)
		}
	})
}

// A day's run that was removed for good keeps no points of later days.
func TestServiceRunRemovedForGood(t *testing.T) {
	for name, remove := range map[string]func(s *mlflowtest.Server, id string){
		"purged":           func(s *mlflowtest.Server, id string) { s.Purge(id) },
		"another database": func(s *mlflowtest.Server, _ string) { s.Wipe() },
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			first := e.serviceRun(0, 1)
			e.mustApplyService(t, first)
			e.pass(t, staleAfter)
			remove(s, s.RunIDs(first.Key())[0])
			e.mustApplyService(t, e.serviceRun(1, 2))
			e.mustApplyService(t, e.serviceRun(1, 3))
			if len(s.RunIDs(e.serviceRun(1, 2).Key())) != 1 {
				t.Error("the next day has no run")
			}
		})
	}
}

// Points of the same day open a run again that was ended for want of them, with several
// Collectors too.
func TestServiceRunIsReopened(t *testing.T) {
	for _, shared := range []bool{false, true} {
		e, _ := faulty(t)
		e.cfg.Shared = shared
		e.restart(t)
		e.mustApplyService(t, e.serviceRun(0, 1))
		e.pass(t, staleAfter)
		e.checkService(t, "day 0 FINISHED 12:01 1 1/721")
		e.mustApplyService(t, e.serviceRun(0, 2))
		if got := e.serviceRuns(t); len(got) != 1 || !strings.Contains(got[0], "RUNNING") {
			t.Errorf("shared %v: %v", shared, got)
		}
	}
}

// A run whose experiment gets another name in the configuration stays where it is until its day is over.
func TestServiceRunStaysInItsExperiment(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		elsewhere := func(r service.Run) service.Run {
			r.Experiment = e.experiment + " other_service"
			return r
		}
		e.mustApplyService(t, e.serviceRun(0, 1))
		e.restart(t)
		e.mustApplyService(t, elsewhere(e.serviceRun(0, 2)))
		e.mustApplyService(t, elsewhere(e.serviceRun(1, 3)))
		e.checkService(t, "day 0 FINISHED 12:02 1 1/721 2/722")
		other, err := e.client.GetExperimentByName(t.Context(), e.experiment+" other_service")
		if err != nil {
			t.Fatal(err)
		}
		state, err := mlflowtest.Read(t.Context(), e.client, other.ID)
		if err != nil {
			t.Fatal(err)
		}
		if run := state.Runs["service-"+worker+"-"+e.serviceRun(1, 3).Day]; len(state.Runs) != 1 || run == nil || run.Status != mlflow.StatusRunning {
			t.Errorf("the other experiment holds %v", state.Runs)
		}
	})
}

// theServiceRun reads back the one run that there is of a day.
func (e *env) theServiceRun(t *testing.T, of service.Run) mlflow.Run {
	t.Helper()
	runs, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{
		ExperimentIDs: []string{e.idOf(t, of.Experiment)}, View: mlflow.ViewAll, Filter: "tags.`" + wire.TagKey + "` = '" + of.Key() + "'",
	})
	if err != nil || len(runs) != 1 {
		t.Fatalf("found %d runs, %v", len(runs), err)
	}
	return runs[0]
}

// The description comes with the request that makes the run. What people write in its place stays, also when
// the worker is another version and the Collector knows nothing any more.
func TestDescriptionOfAServiceRunIsWrittenOnce(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		r := e.serviceRun(0, 1)
		e.mustApplyService(t, r)
		made := e.theServiceRun(t, r)
		if note := made.Tag(mlflow.TagNote); note != r.Note {
			t.Errorf("described as %q", note)
		}
		e.requests.take()
		plain := e.serviceRun(1, 2)
		plain.Note = ""
		e.mustApplyService(t, plain)
		withoutNote := e.requests.take()
		e.mustApplyService(t, e.serviceRun(2, 3))
		e.took(t, withoutNote)

		if err := e.client.SetTag(t.Context(), made.Info.ID, mlflow.TagNote, "the day of the outage"); err != nil {
			t.Fatal(err)
		}
		again := e.serviceRun(0, 4)
		again.Retag, again.Tags[2].Value = true, "2"
		for _, forget := range []func(*testing.T){func(*testing.T) {}, e.restart, e.lose} {
			forget(t)
			e.mustApplyService(t, again)
			now := e.theServiceRun(t, r)
			if note := now.Tag(mlflow.TagNote); note != "the day of the outage" || now.Tag("service.version") != "2" {
				t.Errorf("described as %q, version %s", note, now.Tag("service.version"))
			}
		}
	})
}

// A run that has another name, as an earlier exporter gave it or a person, is found and keeps it.
func TestServiceRunKeepsItsName(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		old := e.serviceRun(0, 1)
		old.Name, old.Note = "worker 0123 "+old.Day, ""
		e.mustApplyService(t, old)
		for i, forget := range []func(*testing.T){e.restart, e.lose} {
			forget(t)
			now := e.serviceRun(0, 2+i)
			now.Retag = true
			e.mustApplyService(t, now)
			if run := e.theServiceRun(t, old); run.Info.Name != old.Name {
				t.Errorf("it is called %q, want %q", run.Info.Name, old.Name)
			}
		}
		e.mustApplyService(t, e.serviceRun(1, 4))
		if run := e.theServiceRun(t, old); run.Info.Name != old.Name || run.Info.Status != mlflow.StatusFinished {
			t.Errorf("it is called %q and %s when its day is over", run.Info.Name, run.Info.Status)
		}
	})
}
