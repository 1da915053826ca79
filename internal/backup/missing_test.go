package backup

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// MLflow makes its artifact root with the first file. Until then a deployment can be backed up, and
// a wrong name of the folder is found when MLflow can be asked.
func TestAnArtifactRootThatIsNotThere(t *testing.T) {
	type answer = func(context.Context, string) (bool, error)
	none := func(deployment) answer {
		return func(_ context.Context, run string) (bool, error) {
			if run == "r2" { // its experiment is in a path
				return true, errors.New("r2 keeps nothing below the artifact root")
			}
			return false, nil
		}
	}
	many := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO runs SELECT 'n' || i, 1, '' FROM n`
	for _, c := range []struct {
		name, sql     string
		answers       func(deployment) answer
		refused, warn []string
	}{
		{"no run has a file", "", none, nil, nil},
		{"no run is below it", `DELETE FROM runs WHERE experiment_id = 1`, nil, nil, nil},
		{"a run has a file", "", func(deployment) answer {
			return func(_ context.Context, run string) (bool, error) { return run == "r1", nil }
		}, []string{"no folder", "art, and MLflow keeps artifacts, of run r1", "MLFLOW_ARTIFACT_ROOT", "--without artifacts"}, nil},
		{"the first file comes meanwhile", "", func(d deployment) answer {
			return func(context.Context, string) (bool, error) { d.write("art/1/new", "x"); return true, nil }
		}, nil, nil},
		{"MLflow does not answer", "", func(deployment) answer {
			return func(context.Context, string) (bool, error) { return false, errors.New("no route") }
		}, nil, []string{"no folder", "whether 1 run of MLflow have any", "no route", "MLFLOW_ARTIFACT_ROOT"}},
		{"nobody to ask", "", nil, nil, []string{"no folder", "cannot be told", "--artifacts"}},
		{"only old runs may have files", many, none, nil, []string{"newest 200 of 201 runs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDeployment(t)
			if c.sql != "" {
				d.sql("mlflow.db", c.sql)
			}
			cfg := d.config()
			cfg.Source.ArtifactRoot = "art"
			for _, operation := range []string{"check", "create"} {
				if c.answers != nil {
					cfg.HasFiles = c.answers(d)
				}
				if err := os.RemoveAll(d.path("art")); err != nil {
					t.Fatal(err)
				}
				var warnings []string
				var err error
				if operation == "check" {
					if warnings, err = Check(t.Context(), cfg); isThere(d.path("backups")) {
						t.Error("the check made a folder")
					}
				} else {
					var made Created
					made, err = Create(t.Context(), cfg)
					warnings = made.Manifest.Warnings
				}
				if c.refused != nil {
					wantError(t, err, c.refused...)
					continue
				}
				if err != nil || (len(warnings) > 0) != (c.warn != nil) || len(warnings) > 1 {
					t.Fatalf("%s: %v, warnings %q; want %q", operation, err, warnings, c.warn)
				}
				for _, part := range c.warn {
					if !strings.Contains(warnings[0], part) {
						t.Errorf("%s: %q does not say %q", operation, warnings[0], part)
					}
				}
			}
		})
	}
}
