package backup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/flock"
)

func (d deployment) rollback() RollbackConfig {
	return RollbackConfig{Source: d.source(), StateDir: "./.mlflow", Now: clock()}
}

func TestRollbackRemovesMLflowAndNothingElse(t *testing.T) {
	d := newDeployment(t)
	d.write(".mlflow/mlflow.log", "log")
	d.write(".env", "SLACK_BOT_TOKEN=xoxb-1\n# MLFLOW_X\nMLFLOW_ENABLE_TRACKING=true\nexport MLFLOW_TRACKING_URI=http://h\n \texport\tMLFLOW_PORT=1\nDB_PATH=./db.sqlite")
	before := read(t, d.path(".env"))
	want := []string{d.path("mlflow.db"), d.path("mlartifacts"), d.path(".mlflow"), d.path(".otelcol-mlflow")}

	dry := d.rollback()
	dry.DryRun = true
	said, err := Rollback(t.Context(), dry)
	if err != nil || !slices.Equal(said.Removed, want) {
		t.Errorf("a dry run says %q, %v; want %q", said.Removed, err, want)
	}
	for _, path := range want {
		if !isThere(path) {
			t.Errorf("the dry run removed %s", path)
		}
	}
	if read(t, d.path(".env")) != before || isThere(said.Copy) {
		t.Error("the dry run changed .env")
	}

	cfg := d.rollback()
	cfg.Backup = d.backup(d.config()).Dir
	r, err := Rollback(t.Context(), cfg)
	if err != nil || !slices.Equal(r.Removed, want) {
		t.Errorf("removed %q, %v; want %q", r.Removed, err, want)
	}
	for _, path := range want {
		if isThere(path) {
			t.Errorf("%s is there still", path)
		}
	}
	for _, name := range []string{"db.sqlite", "data/prompts/stage_a.yaml", "db.sqlite.sampling.yaml"} {
		if !isThere(d.path(name)) {
			t.Errorf("%s is gone", name)
		}
	}
	if got := read(t, d.path(".env")); got != "SLACK_BOT_TOKEN=xoxb-1\n# MLFLOW_X\nDB_PATH=./db.sqlite" {
		t.Errorf(".env is %q", got)
	}
	info, err := os.Stat(r.Copy)
	if err != nil || info.Mode().Perm() != 0o600 || read(t, r.Copy) != before || filepath.Dir(r.Copy) != d.dir {
		t.Errorf("the copy %s: %v, %v", r.Copy, info, err)
	}
	if !slices.Equal(r.Lines, []string{"MLFLOW_ENABLE_TRACKING", "MLFLOW_TRACKING_URI", "MLFLOW_PORT"}) {
		t.Errorf("lines %q", r.Lines)
	}
	// Once more, as after one that was killed: there is nothing left to do.
	if again, err := Rollback(t.Context(), cfg); err != nil || len(again.Removed)+len(again.Lines) > 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	// MLflow as it was comes back from the backup.
	back, err := Restore(t.Context(), RestoreConfig{From: cfg.Backup, Into: d.path("again")})
	if err != nil || len(back.Checked.Problems) > 0 || back.Checked.Counts.Runs != 2 {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestNothingIsRemovedThatTheBackupDoesNotHold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, d deployment, cfg *RollbackConfig)
		want   string
	}{
		{"no backup", func(_ *testing.T, d deployment, cfg *RollbackConfig) { cfg.Backup = d.dir }, "no backup"},
		{"damaged", func(t *testing.T, _ deployment, cfg *RollbackConfig) {
			edit("files/.env", "xoxb-1", "xoxb-2")(t, cfg.Backup)
		}, "damaged"},
		{"a run since", func(_ *testing.T, d deployment, _ *RollbackConfig) {
			d.sql("mlflow.db", `INSERT INTO runs VALUES ('r9', 1, '')`)
		}, "mlflow.db was written to since"},
		{"an artifact since", func(_ *testing.T, d deployment, _ *RollbackConfig) { d.write("mlartifacts/1/new", "x") }, "new was written since"},
		{"another MLflow", func(_ *testing.T, d deployment, cfg *RollbackConfig) {
			d.write("other.db", read(d.t, d.path("mlflow.db")))
			cfg.Source.Store = "sqlite:///other.db"
		}, "does not hold"},
		{"the deployment within the artifacts", func(_ *testing.T, d deployment, cfg *RollbackConfig) { cfg.StateDir = filepath.Dir(d.dir) }, " holds this deployment"},
		{"the job database within the artifacts", func(_ *testing.T, d deployment, cfg *RollbackConfig) {
			d.write("mlartifacts/db.sqlite", read(d.t, d.path("db.sqlite")))
			cfg.Source.JobDatabase = "mlartifacts/db.sqlite"
		}, "mlartifacts holds the job database"},
		{"the job database by way of a link", func(t *testing.T, d deployment, cfg *RollbackConfig) {
			d.write("mlartifacts/db.sqlite", read(d.t, d.path("db.sqlite")))
			if err := os.Symlink("mlartifacts", d.path("link")); err != nil {
				t.Fatal(err)
			}
			cfg.Source.JobDatabase = "link/db.sqlite"
		}, "mlartifacts holds the job database"},
		{"the backup within the Collector's folder", func(t *testing.T, d deployment, cfg *RollbackConfig) {
			moved := d.path(".otelcol-mlflow/backup")
			if err := os.Rename(cfg.Backup, moved); err != nil {
				t.Fatal(err)
			}
			cfg.Backup = moved
		}, ".otelcol-mlflow holds the backup"},
		{"prompts in the folder of the logs", func(_ *testing.T, _ deployment, cfg *RollbackConfig) { cfg.StateDir = "./data" }, "data holds prompts and rules"},
		{"a Collector that runs", func(t *testing.T, d deployment, _ *RollbackConfig) {
			l := flock.New(d.path(".otelcol-mlflow/exporter_mlflow__traces"))
			if ok, err := l.TryLock(); !ok || err != nil {
				t.Fatal(ok, err)
			}
			t.Cleanup(func() { _ = l.Unlock() })
		}, "a Collector has"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDeployment(t)
			cfg := d.rollback()
			cfg.Backup = d.backup(d.config()).Dir
			c.change(t, d, &cfg)
			before := read(t, d.path(".env"))
			_, err := Rollback(t.Context(), cfg)
			wantError(t, err, c.want)
			if strings.Contains(c.want, " holds ") { // then a dry run says so already
				cfg.DryRun = true
				_, err = Rollback(t.Context(), cfg)
				wantError(t, err, c.want)
			}
			for _, name := range []string{"db.sqlite", "data/prompts/stage_a.yaml", "mlflow.db", "mlartifacts/1/r1/artifacts/evidence.json", ".otelcol-mlflow"} {
				if !isThere(d.path(name)) {
					t.Errorf("%s is gone", name)
				}
			}
			if read(t, d.path(".env")) != before {
				t.Error(".env was changed")
			}
		})
	}
}
