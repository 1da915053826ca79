package retention

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whoever names the wrong database or directory is told so before anything is removed.
func TestTheWrongPlaceIsRecognised(t *testing.T) {
	r := newRig(t)
	r.job("old", days(300))
	r.job("z1", days(2))
	r.job("z2", days(1))
	before := r.state()
	copied := filepath.Join(t.TempDir(), "copy.db")
	content, err := os.ReadFile(r.store)
	if err == nil {
		err = os.WriteFile(copied, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	other := newRig(t)
	other.exec(`UPDATE experiments SET name = 'theirs' WHERE experiment_id = 1`)
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte("this is no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ store, artifacts, says string }{
		"no file":          {"sqlite:///" + foreign, r.artifacts, "there is no " + foreign},
		"text":             {"sqlite:///" + text, r.artifacts, "is no SQLite database"},
		"another MLflow's": {"sqlite:///" + other.store, r.artifacts, `experiment 1, "team", is "theirs" there`},
		"a copy":           {"sqlite:///" + copied, r.artifacts, `a tag that was just set on experiment "team" is not there`},
		"other artifacts":  {"sqlite:///" + r.store, t.TempDir(), "is not where http://mlflow keeps its artifacts"},
		"PostgreSQL":       {"postgresql+psycopg2://u:s3cr3t@host/db", r.artifacts, "on it is not supported yet"},
		"MySQL":            {"mysql+pymysql://u:s3cr3t@host/db", r.artifacts, "on it is not supported yet"},
		"S3":               {"sqlite:///" + r.store, "s3://bucket/path", "only on a local directory"},
		"no store":         {"mlflow.db", r.artifacts, "want sqlite:///path"},
	} {
		_, err := Run(t.Context(), Options{
			Rule: Rule{Last: 2, Age: 90 * 24 * time.Hour, Now: now}, Server: r, Endpoint: "http://mlflow", Store: c.store, Artifacts: c.artifacts, Experiments: []string{"team"}, LockFor: time.Minute,
		}, true)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	r.exec(`DELETE FROM experiment_tags`)
	if r.state() != before {
		t.Error("something was removed")
	}
	if _, err := r.retain(true, "unknown"); err == nil || !strings.Contains(err.Error(), `no experiment "unknown"`) {
		t.Error(err)
	}
}

// In each of the first batches is a run whose files cannot be removed any more. It stays, as it
// was, and keeps nothing else, this time and the next.
func TestFilesThatCannotBeRemovedKeepTheirRunOnly(t *testing.T) {
	const runs = 3*batch + 40
	r := newRig(t)
	r.exec(`INSERT INTO runs (run_uuid, name, source_type, status, start_time, lifecycle_stage, artifact_uri, experiment_id)
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
		SELECT printf('%032x', i), printf('r%03d', i), 'LOCAL', 'FINISHED', ?2 + i, 'active',
			printf('mlflow-artifacts:/%s/%032x/artifacts', iif(i % ?3 = 0, 'w', '1'), i), 1 FROM n`, runs, days(200).UnixMilli(), batch)
	r.job("z1", days(2))
	r.job("z2", days(1))
	r.file("w/x/file", days(200))
	want := append([]string{"r000", "r120", "r240", "r360"}, r.names()[runs:]...)
	r.before = func(call string) {
		if call == "delete" {
			r.before = nil
			r.notADirectory("w")
		}
	}
	done, err := r.retain(true)
	if err != nil || len(done.Problems) != 4 || done.Experiments[0].Runs != runs-4 || done.Experiments[0].Kept[Remote] != 4 {
		t.Errorf("%v, %d runs gone, kept %v, problems %q", err, done.Experiments[0].Runs, done.Experiments[0].Kept, done.Problems)
	}
	if got := r.names(); !slices.Equal(got, want) {
		t.Errorf("runs %v are left, want %v", got, want)
	}
	// Now their files cannot even be measured.
	r.job("old", days(300))
	done, err = r.retain(true)
	if err != nil || len(done.Problems) > 0 || done.Experiments[0].Runs != 2 || len(done.Remote) != 4 {
		t.Errorf("the next time: %v, %+v", err, done)
	}
	if got := r.names(); !slices.Equal(got, want) {
		t.Errorf("the next time runs %v are left, want %v", got, want)
	}
}

func TestRulesAreChecked(t *testing.T) {
	err := Rule{Last: -1, Age: time.Hour}.Validate()
	if err == nil || !strings.Contains(err.Error(), "--keep-last") || !strings.Contains(err.Error(), "--keep-for") {
		t.Error(err)
	}
	if _, err := StorePath("postgresql://host/db"); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// Whatever MLflow is started with, and a backup takes, is the store of a retention, too.
func TestStoreIsNamedAsForMLflow(t *testing.T) {
	for _, uri := range []string{"sqlite:////srv/mlflow.db", "sqlite+pysqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db?timeout=30"} {
		if path, err := StorePath(uri); path != "/srv/mlflow.db" || err != nil {
			t.Errorf("%s: %q, %v", uri, path, err)
		}
	}
	if path, err := StorePath("mlflow.db"); err == nil {
		t.Errorf("a file without sqlite:/// is %q", path)
	}
}

// The places of artifacts are below the directories that are known, whatever an address says.
func TestLocate(t *testing.T) {
	f, err := openFiles("/artifacts", "http://mlflow:5000")
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]place{
		"":                                    {},
		"mlflow-artifacts:/1/r/artifacts":     {"/artifacts", "1/r"},
		"mlflow-artifacts:/w/x/1/r/artifacts": {"/artifacts", "w/x/1/r"},
		"mlflow-artifacts://mlflow:5000/1/r/artifacts":                        {"/artifacts", "1/r"},
		"http://mlflow:5000/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts": {"/artifacts", "1/r"},
		"file:///elsewhere/mlruns/1/r/artifacts":                              {"/elsewhere/mlruns/1", "r"},
		"/elsewhere/mlruns/1/r/artifacts":                                     {"/elsewhere/mlruns/1", "r"},
		"mlflow-artifacts:/../../1/r/artifacts":                               {"/artifacts", "1/r"},
	} {
		if got, err := f.locate(uri, "r"); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", uri, got, err, want)
		}
	}
	for _, uri := range []string{
		"s3://bucket/1/r/artifacts", "mlflow-artifacts://other/1/r/artifacts", "http://other/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts",
		"./mlruns/1/r/artifacts", "mlflow-artifacts:/1/other/artifacts", "mlflow-artifacts:/1/r", "/", "%zz", "file://host/1/r/artifacts",
	} {
		if got, err := f.locate(uri, "r"); err == nil {
			t.Errorf("%q is at %+v", uri, got)
		}
	}
}
