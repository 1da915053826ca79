package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/wire"
)

// underSettings runs the command with settings from the environment.
func underSettings(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, environ, t.TempDir(), &out, &errs)
	return code, out.String(), errs.String()
}

// A person may have renamed the experiment of the settings, and a Collector that was restarted since has
// made another one of that name.
func TestOpenFindsAJobInARenamedExperiment(t *testing.T) {
	s := startMLflow(t)
	runID := seed(t, s, "mine", true)
	environ := []string{"MLFLOW_TRACKING_URI=" + s.URL, "MLFLOW_EXPERIMENT_NAME=team", "DB_PATH=" + filepath.Join(t.TempDir(), "none.sqlite")}
	for _, made := range []bool{false, true} {
		if made {
			if _, err := clientOf(t, s).CreateExperiment(t.Context(), "team"); err != nil {
				t.Fatal(err)
			}
		}
		code, stdout, stderr := underSettings(t, environ, "open", "7")
		if code != 0 || !strings.Contains(stdout, runID) || !strings.Contains(stderr, `note: job 7 is in experiment "mine", not in "team"`) ||
			!strings.Contains(stderr, "found by its number alone, which every job database gives") {
			t.Errorf("another one of that name: %v; exit %d\n%s%s", made, code, stdout, stderr)
		}
		if code, _, stderr = underSettings(t, environ, "open", "8"); code != exitFailed || !strings.Contains(stderr, "no run of job 8") ||
			strings.Contains(stderr, `or there is no experiment "team", which MLFLOW_EXPERIMENT_NAME names; `) == made {
			t.Errorf("another one of that name: %v; exit %d\n%s", made, code, stderr)
		}
		code, _, stderr = underSettings(t, environ, "--experiment", "team", "open", "7")
		if code != exitFailed || !strings.Contains(stderr, "renamed") || !strings.Contains(stderr, "ithout --experiment all are looked in") {
			t.Errorf("another one of that name: %v; exit %d\n%s", made, code, stderr)
		}
		if made && !strings.Contains(stderr, `removed it, or it is in another experiment than "team", as`) {
			t.Errorf("it is no sentence: %s", stderr)
		}
	}
	if code, stdout, stderr := underSettings(t, environ[:1], "open", "7"); code != 0 || !strings.Contains(stdout, runID) || stderr != "" {
		t.Errorf("no experiment is named; exit %d\n%s%s", code, stdout, stderr)
	}
}

// Every job database counts from 1: in other experiments a job is known by its trace id.
func TestOpenTakesNoJobOfAnotherDatabase(t *testing.T) {
	s := startMLflow(t)
	other := seed(t, s, "team_validation", false)
	path := filepath.Join(t.TempDir(), "db.sqlite")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, insert := range []string{
		`INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (1, 'C', '1', 1)`,
		`INSERT INTO jobs (id, message_id, created_at) VALUES (7, 1, 1)`,
	} {
		if _, err := db.DB().ExecContext(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	trace, _ := wire.JobIdentity(db.StoreID(), 7, time.UnixMicro(1))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	environ := []string{"MLFLOW_TRACKING_URI=" + s.URL, "MLFLOW_EXPERIMENT_NAME=team", "DB_PATH=" + path}
	beside := func() []string {
		t.Helper()
		names, err := filepath.Glob(path + "*")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if code, stdout, stderr := underSettings(t, environ, "open", "7"); code != exitFailed || !strings.Contains(stderr, "no run of job 7") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if got := beside(); len(got) != 1 {
		t.Errorf("it leaves %q", got)
	}
	c := clientOf(t, s)
	id, err := c.CreateExperiment(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateRun(t.Context(), mlflow.CreateRun{ExperimentID: id, Name: "job_7", StartTime: 1, Tags: []mlflow.KeyValue{{Key: wire.TagKey, Value: trace.String()}}})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := underSettings(t, environ, "open", "7")
	if code != 0 || !strings.Contains(stdout, made.Info.ID) || strings.Contains(stdout, other) || !strings.Contains(stderr, `in experiment "mine"`) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = underSettings(t, environ, "export", "7", "--to", t.TempDir())
	if code != 0 || !strings.Contains(stderr, `in experiment "mine"`) || strings.Contains(stderr, "by its number alone") {
		t.Errorf("export: exit %d\n%s%s", code, stdout, stderr)
	}
}

// Who waits until a job is recorded waits until it is made, too: the job database has no such job yet.
func TestOpenTakesNoJobOfAnotherDatabaseForOneThatIsNotMade(t *testing.T) {
	s := startMLflow(t)
	seed(t, s, "team_validation", false)
	path := filepath.Join(t.TempDir(), "db.sqlite")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	environ := []string{"MLFLOW_TRACKING_URI=" + s.URL, "MLFLOW_EXPERIMENT_NAME=team", "DB_PATH=" + path}
	for _, args := range [][]string{{"open", "7"}, {"export", "7", "--to", t.TempDir()}} {
		code, stdout, stderr := underSettings(t, environ, args...)
		if code != exitFailed || !strings.Contains(stderr, "no run of job 7") || !strings.Contains(stderr, "the job database has no such job") {
			t.Errorf("%s: exit %d\n%s%s", args[0], code, stdout, stderr)
		}
	}
	if err := os.WriteFile(path, []byte("this is no database, and long enough to be seen to be none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := underSettings(t, environ, "open", "7"); code != exitFailed || !strings.Contains(stderr, "open job database "+path) {
		t.Errorf("a file that is no database: exit %d\n%s%s", code, stdout, stderr)
	}
}
