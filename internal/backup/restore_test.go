package backup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/store"
)

func TestARestoredDeploymentIsTheOriginalInAnotherPlace(t *testing.T) {
	d := newDeployment(t)
	t.Chdir(d.dir) // as people call it
	cfg := d.config()
	cfg.Source.Dir, cfg.To = ".", "backups"
	made := d.backup(cfg)
	if err := os.RemoveAll(d.path("mlartifacts")); err != nil { // nothing leads there any more
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "a b", "new")
	r, err := Restore(t.Context(), RestoreConfig{From: made.Dir, Into: into})
	if err != nil || len(r.Checked.Problems) > 0 {
		t.Fatalf("%v %q", err, r.Checked.Problems)
	}
	want := made.Manifest.Counts
	if r.Checked.Counts != want {
		t.Errorf("counts %+v; want %+v", r.Checked.Counts, want)
	}
	if r.StoreID != made.Manifest.Jobs.StoreID || r.OpenJobs != 1 || r.Relocated != 3 || len(r.Foreign) > 0 || len(r.Settings) > 0 {
		t.Errorf("%+v", r)
	}
	mlflow := filepath.Join(into, "mlflow.db")
	for query, want := range map[string]string{
		`SELECT artifact_location FROM experiments WHERE name = 'served'`:           "mlflow-artifacts:/1",
		`SELECT artifact_location FROM experiments WHERE name = 'old'`:              into + "/mlartifacts/2",
		`SELECT artifact_uri FROM runs WHERE run_uuid = 'r2'`:                       into + "/mlartifacts/2/r2/artifacts",
		`SELECT value FROM trace_tags WHERE key = 'mlflow.artifactLocation'`:        "file://" + strings.ReplaceAll(into, " ", "%20") + "/mlartifacts/2/traces/tr-1",
		`SELECT value FROM trace_tags WHERE key = 'other'`:                          d.dir + "/mlartifacts", // not MLflow's
		`SELECT group_concat(run_uuid) FROM (SELECT run_uuid FROM runs ORDER BY 1)`: "r1,r2",
	} {
		if got := one(t, mlflow, query); got != want {
			t.Errorf("%s is %s; want %s", query, got, want)
		}
	}
	if got := read(t, filepath.Join(into, "mlartifacts/2/r2/artifacts/facts.json")); got != `{"two": 2}` {
		t.Errorf("artifact %s", got)
	}
	if got := one(t, filepath.Join(into, "eval.sqlite"), `SELECT id FROM evaluations`); got != "paid" {
		t.Errorf("the database of evaluations holds %q", got)
	}
	s, err := store.Open(t.Context(), filepath.Join(into, "db.sqlite"), store.Existing())
	if err != nil {
		t.Fatal(err)
	}
	if s.StoreID() != made.Manifest.Jobs.StoreID {
		t.Errorf("store id %s", s.StoreID())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(into, "*-*")); slices.ContainsFunc(left, func(p string) bool { return !strings.HasPrefix(filepath.Base(p), ".") }) || isThere(filepath.Join(into, markName)) {
		t.Errorf("left over: %q", left)
	}
}

func TestACopyBesideTheOriginalGetsAStoreIDOfItsOwn(t *testing.T) {
	d := newDeployment(t)
	made := d.backup(d.config())
	seen := []string{made.Manifest.Jobs.StoreID}
	for _, name := range []string{"one", "two"} {
		r, err := Restore(t.Context(), RestoreConfig{From: made.Dir, Into: d.path(name), NewStoreID: true})
		if err != nil || len(r.Checked.Problems) > 0 {
			t.Fatal(err, r.Checked.Problems)
		}
		s, err := store.Open(t.Context(), d.path(name+"/db.sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		if s.StoreID() != r.StoreID || slices.Contains(seen, r.StoreID) {
			t.Errorf("store ids %q, then %s; in the database %s", seen, r.StoreID, s.StoreID())
		}
		if s.PseudonymKey() == "" {
			t.Error("the key of pseudonyms is gone")
		}
		seen = append(seen, r.StoreID)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// The second is a copy of the first.
		copied := d
		copied.dir = d.path(name)
		made = copied.backup(copied.config())
	}
	cfg := d.config()
	cfg.To, cfg.Source.Without = d.path("without"), []string{PartJobs}
	_, err := Restore(t.Context(), RestoreConfig{From: d.backup(cfg).Dir, Into: d.path("three"), NewStoreID: true})
	wantError(t, err, "no job database")
}

func TestNothingIsRestoredOverSomething(t *testing.T) {
	d := newDeployment(t)
	from := d.backup(d.config()).Dir
	d.write("full/file", "mine")
	_, err := Restore(t.Context(), RestoreConfig{From: from, Into: d.path("full")})
	wantError(t, err, "full is not empty", "file")
	if got := read(t, d.path("full/file")); got != "mine" {
		t.Errorf("the file is %q now", got)
	}
	d.write("torn/"+markName, "")
	_, err = Restore(t.Context(), RestoreConfig{From: from, Into: d.path("torn")})
	wantError(t, err, "did not end", "delete the folder")
	if _, err := Restore(t.Context(), RestoreConfig{From: from, Into: d.path(".env")}); err == nil {
		t.Error("it restored into a file")
	}
	if err := os.Mkdir(d.path("empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), RestoreConfig{From: from, Into: d.path("empty")}); err != nil {
		t.Error(err)
	}
}

// A deployment's files may lie anywhere; a copy has them all in its own folder.
func TestSettingsLeadIntoTheCopy(t *testing.T) {
	d := newDeployment(t)
	far := t.TempDir()
	for _, name := range []string{"db.sqlite", "mlflow.db"} {
		if err := os.Rename(d.path(name), filepath.Join(far, name)); err != nil {
			t.Fatal(err)
		}
	}
	d.write("prompts-of-ours/prompts/a.yaml", "content: x")
	d.write("rules.yaml", "rules: []")
	d.write(".env", "export DB_PATH="+far+"/db.sqlite\nDATA_DIR=./prompts-of-ours\nMLFLOW_BACKEND_STORE='sqlite:///"+far+"/mlflow.db'\n# DB_PATH=old\nREDACTION_FILE="+d.dir+"/rules.yaml\nOTHER=1")
	d.write(".env.staging", "MLFLOW_ARTIFACT_ROOT="+d.dir+"/mlartifacts\n")
	cfg := d.config()
	cfg.Source.JobDatabase, cfg.Source.Store = filepath.Join(far, "db.sqlite"), "sqlite:///"+filepath.Join(far, "mlflow.db")
	cfg.Source.ArtifactRoot, cfg.Source.DataDir, cfg.Source.Profile = d.path("mlartifacts"), "./prompts-of-ours", "staging"
	cfg.Source.RedactionFile = d.path("rules.yaml")
	d.write("hidden/sampling.yaml", "rules: []") // named by the environment
	cfg.Source.SamplingFile = "./hidden/sampling.yaml"
	made := d.backup(cfg)
	r, err := Restore(t.Context(), RestoreConfig{From: made.Dir, Into: d.path("new")})
	if err != nil || len(r.Checked.Problems) > 0 {
		t.Fatal(err, r.Checked.Problems)
	}
	want := "# Before the restore: export DB_PATH=" + far + "/db.sqlite\nDB_PATH=./db.sqlite\nDATA_DIR=./prompts-of-ours\n" +
		"# Before the restore: MLFLOW_BACKEND_STORE='sqlite:///" + far + "/mlflow.db'\nMLFLOW_BACKEND_STORE=sqlite:///mlflow.db\n# DB_PATH=old\n" +
		"# Before the restore: REDACTION_FILE=" + d.dir + "/rules.yaml\nREDACTION_FILE=./rules.yaml\nOTHER=1\n" +
		"# Where the restored files are, by mlflowctl restore.\nSAMPLING_FILE=./hidden/sampling.yaml\n"
	if got := read(t, d.path("new/.env")); got != want {
		t.Errorf(".env\n%s\nwant\n%s", got, want)
	}
	want = "# Before the restore: MLFLOW_ARTIFACT_ROOT=" + d.dir + "/mlartifacts\nMLFLOW_ARTIFACT_ROOT=./mlartifacts\n"
	if got := read(t, d.path("new/.env.staging")); got != want {
		t.Errorf(".env.staging\n%s\nwant\n%s", got, want)
	}
	if len(r.Settings) != 5 {
		t.Errorf("settings %q", r.Settings)
	}
}

func TestLocationsAreRewrittenAtTheirBordersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mlflow.db")
	execute(t, path, mlflowSchema+`
		INSERT INTO experiments VALUES (1, '', '/srv/art'), (2, '', '/srv/art2/x'), (3, '', '/srv/art/within/3'), (4, '', 'file:///srv/art/4'),
			(5, '', 's3://srv/art'), (6, '', NULL), (7, '', '/new/art/7'), (8, '', 'mlflow-artifacts:/srv/art')`)
	changed, foreign, err := relocate(t.Context(), path, []move{{"/srv/art", "/new/art"}, {"/srv/art/within", "/new/within"}})
	if err != nil {
		t.Fatal(err)
	}
	got := one(t, path, `SELECT group_concat(coalesce(artifact_location, '-'), ' ') FROM (SELECT * FROM experiments ORDER BY experiment_id)`)
	if want := "/new/art /srv/art2/x /new/within/3 file:///new/art/4 s3://srv/art - /new/art/7 mlflow-artifacts:/srv/art"; got != want || changed != 3 {
		t.Errorf("%d changed:\n%s\nwant\n%s", changed, got, want)
	}
	if !slices.Equal(foreign, []string{"/srv/art2"}) {
		t.Errorf("foreign folders %q", foreign)
	}
	// A place within the old one is not moved twice.
	if _, _, err := relocate(t.Context(), path, []move{{"/new/art", "/new/art/deeper"}}); err != nil {
		t.Fatal(err)
	}
	if got := one(t, path, `SELECT artifact_location FROM experiments WHERE experiment_id = 1`); got != "/new/art/deeper" {
		t.Errorf("moved to %s", got)
	}
}

// The old deployment's database can be backed up before anything is changed.
func TestTheOldDeploymentIsBackedUpToo(t *testing.T) {
	d := newDeployment(t)
	d.sql("old.sqlite", `CREATE TABLE messages (id INTEGER PRIMARY KEY); CREATE TABLE jobs (id INTEGER PRIMARY KEY, status TEXT);
		INSERT INTO jobs VALUES (1, 'done'), (2, 'processing')`)
	cfg := d.config()
	cfg.Source.JobDatabase, cfg.Source.Without = "old.sqlite", []string{PartMLflow, PartArtifacts}
	made := d.backup(cfg)
	r, err := Restore(t.Context(), RestoreConfig{From: made.Dir, Into: d.path("new")})
	if err != nil || made.Manifest.Counts.Jobs != 2 || r.OpenJobs != 1 {
		t.Errorf("%d jobs, %d open, %v", made.Manifest.Counts.Jobs, r.OpenJobs, err)
	}
	_, err = Restore(t.Context(), RestoreConfig{From: made.Dir, Into: d.path("newer"), NewStoreID: true})
	wantError(t, err, "store id")
}
