package backup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func wantNo(t *testing.T, err error, part string) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), part) {
		t.Errorf("error %q says %q", err, part)
	}
}

func TestVerifyFindsWhatIsNotAsItWas(t *testing.T) {
	const artifact = "files/mlartifacts/1/r1/artifacts/evidence.json"
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   []string // parts of the problems
	}{
		{"nothing", func(*testing.T, string) {}, nil},
		{"a byte", edit(artifact, "1", "2"), []string{"evidence.json has another content"}},
		{"a shorter file", edit(artifact, "one", ""), []string{"evidence.json has 7 bytes instead of 10"}},
		{"a missing file", func(t *testing.T, dir string) { remove(t, dir, artifact) }, []string{"evidence.json is missing"}},
		{"one file more", func(t *testing.T, dir string) { put(t, dir, "files/mlartifacts/more", "") }, []string{"mlartifacts/more is not in the manifest"}},
		{"a row less", func(t *testing.T, dir string) {
			execute(t, filepath.Join(dir, "files", "mlflow.db"), `DELETE FROM params`)
		}, []string{"mlflow.db has another content", "table params: 0 rows instead of 1"}},
		{"a table more", func(t *testing.T, dir string) {
			execute(t, filepath.Join(dir, "files", "mlflow.db"), `CREATE TABLE more (a)`)
		}, []string{"mlflow.db has", "a table more more"}},
		{"no database", func(t *testing.T, dir string) { put(t, dir, "files/db.sqlite", "x") }, []string{"db.sqlite has 1 bytes", "no SQLite database"}},
		{"a count", edit(manifestName, `"artifacts": 2`, `"artifacts": 3`), []string{"its counts do not fit"}},
		{"a path that leads out", edit(manifestName, `"path": ".env"`, `"path": "../.env"`), []string{"../.env leads out of the backup", ".env is not in the manifest"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDeployment(t)
			dir := d.backup(d.config()).Dir
			c.damage(t, dir)
			got, err := Verify(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Problems) != len(c.want) {
				t.Errorf("problems %q; want %q", got.Problems, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(strings.Join(got.Problems, "\n"), want) {
					t.Errorf("problems %q lack %q", got.Problems, want)
				}
			}
			if _, err := Restore(t.Context(), RestoreConfig{From: dir, Into: d.path("new")}); (err == nil) != (len(c.want) == 0) {
				t.Errorf("restore: %v", err)
			}
		})
	}
}

func edit(name, old, new string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		text := read(t, filepath.Join(dir, name))
		if !strings.Contains(text, old) {
			t.Fatalf("%s lacks %s", name, old)
		}
		put(t, dir, name, strings.Replace(text, old, new, 1))
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
		t.Fatal(err)
	}
}

func TestAManifestThatCannotBeReadIsNamed(t *testing.T) {
	d := newDeployment(t)
	if _, err := Verify(t.Context(), d.dir); !errors.Is(err, ErrNoBackup) {
		t.Errorf("error %v", err)
	}
	for old, want := range map[string]string{`"format": 1`: "its format is 2", `"program"`: "damaged"} {
		dir := d.backup(CreateConfig{Source: d.source(), To: d.path("b" + want[:3]), Program: "test", Now: clock()}).Dir
		edit(manifestName, old, strings.NewReplacer("1", "2", `"program"`, "program").Replace(old))(t, dir)
		_, err := Verify(t.Context(), dir)
		wantError(t, err, want, dir)
	}
}
