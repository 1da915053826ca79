package backup

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/store"
)

func TestABackupHoldsTheWholeDeploymentAndNothingElse(t *testing.T) {
	d := newDeployment(t)
	made := d.backup(d.config())
	var got []string
	for _, f := range made.Manifest.Files {
		got = append(got, f.Path)
	}
	want := []string{
		".env", ".otelcol-mlflow/dead-letter/a.json", "data/eval/cassette.jsonl", "data/eval/evidence/one.json", "data/eval_dataset.json",
		"data/project_context.yaml", "data/prompts/stage_a.yaml", "db.sqlite",
		"db.sqlite.baseline.json", "db.sqlite.sampling.yaml", "db.sqlite.sampling.yaml.last", "eval.sqlite", "mlartifacts/1/r1/artifacts/evidence.json", "mlartifacts/2/r2/artifacts/facts.json", "mlflow.db",
	}
	if !slices.Equal(got, want) {
		t.Errorf("files %q\nwant  %q", got, want)
	}
	c := made.Manifest.Counts
	if c.Jobs != 1 || c.Runs != 2 || c.Traces != 1 || c.Artifacts != 2 || c.Files != int64(len(want)) || c.Bytes == 0 {
		t.Errorf("counts %+v", c)
	}
	if m := made.Manifest; m.Jobs.Integrity != "ok" || m.MLflow.Schema != "0123456789ab" || m.Jobs.Schema == "" || len(m.Jobs.StoreID) != 36 {
		t.Errorf("databases %+v %+v", m.Jobs, m.MLflow)
	}
	if again, err := ReadManifest(made.Dir); err != nil || len(again.Files) != len(want) {
		t.Errorf("manifest %+v, %v", again, err)
	}
	if !slices.Equal(made.Manifest.Secrets, []string{".env"}) || len(made.Manifest.Warnings) > 0 {
		t.Errorf("secrets %q, warnings %q", made.Manifest.Secrets, made.Manifest.Warnings)
	}
}

func TestNobodyElseCanReadABackup(t *testing.T) {
	d := newDeployment(t)
	made := d.backup(d.config())
	for _, root := range []string{d.path("backups"), made.Dir} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has the mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Each transaction of the writers leaves as many rows in one table as in the other, and an
// artifact is there before a row refers to it.
func TestABackupIsOfOneMomentWhileOthersWrite(t *testing.T) {
	d := newDeployment(t)
	s, err := store.Open(t.Context(), d.path("db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mlflow, err := sql.Open("sqlite", d.path("mlflow.db")+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer mlflow.Close()
	stop := make(chan struct{})
	var writers sync.WaitGroup
	write := func(round func(i int) error) {
		writers.Go(func() {
			for i := 10; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := round(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	both := func(db *sql.DB, first, second string, i int) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, statement := range []string{first, second} {
			if _, err := tx.Exec(statement, i); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	write(func(i int) error {
		return both(s.DB(), `INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (?1, 'C1', ?1, 1)`,
			`INSERT INTO jobs (id, message_id, created_at) VALUES (?1, ?1, 1)`, i)
	})
	write(func(i int) error {
		name := filepath.Join(d.dir, "mlartifacts", "1", time.Unix(0, int64(i)).UTC().Format("150405.000000000"))
		if err := os.WriteFile(name, make([]byte, 10_000), 0o600); err != nil {
			return err
		}
		return both(mlflow, `INSERT INTO runs VALUES ('run' || ?1, 1, 'mlflow-artifacts:/1')`, `INSERT INTO params VALUES ('run' || ?1, 'p', 'v')`, i)
	})
	// A backup takes less time than a slow disk takes for one commit, so another is made until the writers have been seen.
	cfg := d.config()
	grown, last, deadline := false, int64(0), time.Now().Add(30*time.Second)
	for !grown && time.Now().Before(deadline) {
		made := d.backup(cfg)
		m := made.Manifest
		if m.Jobs.Tables["jobs"] != m.Jobs.Tables["messages"] {
			t.Errorf("%d jobs and %d messages: not of one moment", m.Jobs.Tables["jobs"], m.Jobs.Tables["messages"])
		}
		if m.Counts.Runs != m.MLflow.Tables["params"]+1 {
			t.Errorf("%d runs and %d params: not of one moment", m.Counts.Runs, m.MLflow.Tables["params"])
		}
		if m.Counts.Artifacts < m.Counts.Runs {
			t.Errorf("%d artifacts of %d runs: what the database refers to is missing", m.Counts.Artifacts, m.Counts.Runs)
		}
		grown = grown || last > 0 && m.Counts.Runs > last
		last = m.Counts.Runs
	}
	close(stop)
	writers.Wait()
	if !grown {
		t.Error("nothing was written meanwhile: this test shows nothing")
	}
}

// A program that was killed within a write leaves a journal; the copy is of the state before.
func TestABackupOfADatabaseWhoseProgramWasKilled(t *testing.T) {
	d := newDeployment(t)
	db, err := sql.Open("sqlite", d.path("mlflow.db")+"?_pragma=cache_size(1)&_pragma=cache_spill(1)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
		INSERT INTO params SELECT 'torn' || i, 'p', printf('%0200d', i) FROM n`); err != nil {
		t.Fatal(err)
	}
	// What lies on the disk now is what a kill would leave.
	for _, name := range []string{"mlflow.db", "mlflow.db-journal"} {
		d.write("killed/"+name, read(t, d.path(name)))
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := d.config()
	cfg.Source.Store = "sqlite:///killed/mlflow.db"
	if got := d.backup(cfg).Manifest.MLflow.Tables["params"]; got != 1 {
		t.Errorf("%d params; the unfinished write had more", got)
	}
}

func TestWhatDidNotChangeIsSharedWithTheBackupBefore(t *testing.T) {
	d := newDeployment(t)
	cfg := d.config()
	first := d.backup(cfg)
	d.write("mlartifacts/2/r2/artifacts/facts.json", `{"two": 22}`)
	d.write("mlartifacts/2/r2/artifacts/new.json", `{}`)
	second := d.backup(cfg)
	if first.Manifest.Counts.Linked != 0 || second.Manifest.Counts.Linked != 1 {
		t.Errorf("%d, then %d shared files", first.Manifest.Counts.Linked, second.Manifest.Counts.Linked)
	}
	const facts = "files/mlartifacts/2/r2/artifacts/facts.json"
	if a, b := read(t, filepath.Join(first.Dir, facts)), read(t, filepath.Join(second.Dir, facts)); a != `{"two": 2}` || b != `{"two": 22}` {
		t.Errorf("contents %s and %s", a, b)
	}
	for _, made := range []Created{first, second} {
		if c, err := Verify(t.Context(), made.Dir); err != nil || len(c.Problems) > 0 {
			t.Errorf("%s: %v %v", made.Dir, c.Problems, err)
		}
	}
}

// The artifacts of an experiment may lie outside of the artifact root.
func TestArtifactsOfExperimentsElsewhereAreCopied(t *testing.T) {
	d := newDeployment(t)
	elsewhere := filepath.Join(t.TempDir(), "mlruns", "3")
	if err := os.MkdirAll(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(elsewhere, "a.txt"), []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	d.sql("mlflow.db", `INSERT INTO experiments VALUES (3, 'elsewhere', 'file://`+elsewhere+`'), (4, 'bucket', 's3://user:secret@bucket/4'), (5, 'gone', '`+gone+`'), (6, 'never used', '/nowhere');
		INSERT INTO runs VALUES ('r4', 4, 's3://bucket/4/r4'), ('r5', 5, '`+gone+`/r5')`)
	m := d.backup(d.config()).Manifest
	if len(m.Artifacts) != 2 || m.Artifacts[1].Path != "3" || m.Artifacts[1].Files != 1 || m.Counts.Artifacts != 3 {
		t.Errorf("artifacts %+v, %d files", m.Artifacts, m.Counts.Artifacts)
	}
	if want := []string{
		"the artifacts of 1 run should be in " + gone + ", which is not there",
		"the artifacts of 1 run are in s3://user:xxxxx@bucket/4, which this command does not copy",
	}; !slices.Equal(m.Warnings, want) {
		t.Errorf("warnings %q\nwant %q", m.Warnings, want)
	}
}

func TestWhatCannotBeBackedUpIsSaid(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(d deployment, s *Source)
		parts  []string
	}{
		{"jobs on PostgreSQL", func(_ deployment, s *Source) { s.JobDatabase = "postgres://u:hush@h/d" }, []string{"DATABASE_URL", "pg_dump", "--without jobs"}},
		{"MLflow on PostgreSQL", func(_ deployment, s *Source) { s.Store = "postgresql+psycopg2://u:hush@h/d" }, []string{"MLFLOW_BACKEND_STORE", "pg_dump", "--without mlflow"}},
		{"MLflow on MySQL", func(_ deployment, s *Source) { s.Store = "mysql://u:hush@h/d" }, []string{"sqlite:///FILE"}},
		{"MLflow's file store", func(_ deployment, s *Source) { s.Store = "./mlruns" }, []string{"./mlruns", "sqlite:///FILE"}},
		{"bucket", func(_ deployment, s *Source) { s.ArtifactRoot = "s3://k:hush@bucket/x" }, []string{"MLFLOW_ARTIFACT_ROOT", "--without artifacts"}},
		{"no job database", func(_ deployment, s *Source) { s.JobDatabase = "other.sqlite" }, []string{"other.sqlite", "DB_PATH", "--without jobs"}},
		{"no MLflow", func(_ deployment, s *Source) { s.Store = "sqlite:///other.db" }, []string{"other.db", "--mlflow-store", "--without mlflow"}},
		{"no database", func(_ deployment, s *Source) { s.Store = "sqlite:///.env" }, []string{".env is no SQLite database"}},
		{"other database", func(_ deployment, s *Source) { s.Store = "sqlite:///db.sqlite" }, []string{"no database of MLflow"}},
		{"databases exchanged", func(_ deployment, s *Source) { s.JobDatabase = "mlflow.db" }, []string{"no job database"}},
		{"into itself", func(d deployment, s *Source) { s.ArtifactRoot = d.dir }, []string{"--to"}},
		{"file to include", func(_ deployment, s *Source) { s.Include = []string{"nothing.conf"} }, []string{"nothing.conf"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDeployment(t)
			cfg := d.config()
			c.change(d, &cfg.Source)
			_, err := Create(t.Context(), cfg)
			wantError(t, err, c.parts...)
			wantNo(t, err, "hush")
			_, err = Check(t.Context(), cfg)
			wantError(t, err, c.parts...)
			wantNo(t, err, "hush")
			if left, _ := filepath.Glob(d.path("backups/*backup*")); len(left) > 0 {
				t.Errorf("it left %q", left)
			}
		})
	}
}

// Whoever asks first finds out about the folder of backups too, and leaves nothing there.
func TestTheCheckLooksAtTheFolderOfBackups(t *testing.T) {
	d := newDeployment(t)
	for to, want := range map[string]string{"backups/daily": "", ".env": ".env is not a folder", ".env/backups": "not a directory"} {
		cfg := d.config()
		cfg.To = d.path(to)
		_, err := Check(t.Context(), cfg)
		if want == "" && err != nil || isThere(d.path("backups")) {
			t.Errorf("%s: %v, or something is left", to, err)
		}
		if want != "" {
			wantError(t, err, want)
			if _, err := Create(t.Context(), cfg); err == nil {
				t.Errorf("a backup in %s was made", to)
			}
		}
	}
	if left, _ := filepath.Glob(d.path(partialPrefix + "*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

func TestADamagedDatabaseIsNotBackedUp(t *testing.T) {
	d := newDeployment(t)
	d.sql("mlflow.db", `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO params SELECT 'x' || i, 'p', 'v' FROM n`)
	text := []byte(read(t, d.path("mlflow.db")))
	copy(text[len(text)/2:], make([]byte, 4096))
	d.write("mlflow.db", string(text))
	_, err := Create(t.Context(), d.config())
	wantError(t, err, "mlflow.db")
}

func TestPartsCanBeLeftOut(t *testing.T) {
	d := newDeployment(t)
	cfg := d.config()
	cfg.Source.Without = []string{PartMLflow, PartArtifacts}
	cfg.Source.Include = []string{MayBeAbsent + "nothing.conf", ".env.old"}
	d.write(".env.old", "A=b")
	m := d.backup(cfg).Manifest
	if m.MLflow != nil || m.Artifacts != nil || m.Jobs == nil || m.Counts.Files != 13 {
		t.Errorf("manifest %+v", m)
	}
}

func TestTheDatabaseOfEvaluationsMayBeAbsentOrLeftOutButIsNoOther(t *testing.T) {
	d := newDeployment(t)
	cfg := d.config()
	cfg.Source.Evaluations = "./none.sqlite"
	if m := d.backup(cfg).Manifest; m.Evaluations != nil || len(m.Warnings) > 0 {
		t.Errorf("manifest %+v", m)
	}
	d.write("none.sqlite", "") // it was killed before it made a table
	if m := d.backup(cfg).Manifest; m.Evaluations != nil || len(m.Warnings) > 0 {
		t.Errorf("manifest %+v", m)
	}
	cfg.Source.Evaluations = "./mlflow.db"
	_, err := Create(t.Context(), cfg)
	wantError(t, err, "mlflow.db", "EVAL_DB_PATH", "--without evaluations")
	cfg.Source.Without = []string{PartEvaluations}
	if m := d.backup(cfg).Manifest; m.Evaluations != nil {
		t.Errorf("manifest %+v", m)
	}
}

// Prompts may be links into a checkout, or those of a ConfigMap. They are copied as what the worker
// reads.
func TestLinkedPromptsAreCopied(t *testing.T) {
	d := newDeployment(t)
	before := d.backup(d.config()).Manifest
	checkout := t.TempDir()
	if err := os.Rename(d.path("data/prompts"), filepath.Join(checkout, "prompts")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(checkout, "prompts"), d.path("data/prompts")); err != nil {
		t.Fatal(err)
	}
	d.write("..2026/rules.yaml", "linked: true")
	for from, to := range map[string]string{"../..2026/rules.yaml": "data/linked.yaml", "../..2026": "data/..data", ".": "data/prompts/circle", "nowhere": "data/prompts/broken.yaml"} {
		if err := os.Symlink(from, d.path(to)); err != nil {
			t.Fatal(err)
		}
	}
	made := d.backup(d.config())
	var prompts, all []string
	for _, f := range made.Manifest.Files {
		if strings.HasPrefix(f.Path, "data/") {
			all = append(all, f.Path)
		}
	}
	for _, f := range before.Files {
		if strings.HasPrefix(f.Path, "data/") {
			prompts = append(prompts, f.Path)
		}
	}
	want := slices.Sorted(slices.Values(append(prompts, "data/linked.yaml")))
	if !slices.Equal(all, want) || len(prompts) < 2 {
		t.Errorf("files %q\nwant %q", all, want)
	}
	if got := read(t, filepath.Join(made.Dir, "files/data/linked.yaml")); got != "linked: true" {
		t.Errorf("linked.yaml is %q", got)
	}
	if w := made.Manifest.Warnings; len(w) != 1 || !strings.Contains(w[0], "broken.yaml") {
		t.Errorf("warnings %q", w)
	}
}

// A file of the backup before has rotted: it is not linked to, and nobody has to find it first.
func TestADamagedBackupBeforeDoesNotStopTheNext(t *testing.T) {
	d := newDeployment(t)
	first := d.backup(d.config())
	rotten := filepath.Join(first.Dir, "files/mlartifacts/2/r2/artifacts/facts.json")
	info, err := os.Stat(rotten)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(rotten, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rotten, []byte(strings.Repeat("x", int(info.Size()))), 0o600); err != nil {
		t.Fatal(err)
	}
	second := d.backup(d.config())
	if got := read(t, filepath.Join(second.Dir, "files/mlartifacts/2/r2/artifacts/facts.json")); got != `{"two": 2}` {
		t.Errorf("the copy is %q", got)
	}
	if w := second.Manifest.Warnings; len(w) != 1 || !strings.Contains(w[0], "mlflowctl backup verify "+first.Dir) || second.Manifest.Counts.Linked != 0 {
		t.Errorf("warnings %q, %d links", w, second.Manifest.Counts.Linked)
	}
}
