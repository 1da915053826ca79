package backendstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestParse(t *testing.T) {
	for address, want := range map[string]Store{
		"sqlite:///mlflow.db":                     {"sqlite", "mlflow.db"},
		"sqlite:////var/lib/mlflow.db":            {"sqlite", "/var/lib/mlflow.db"},
		"sqlite+pysqlite:////var/lib/mlflow.db":   {"sqlite", "/var/lib/mlflow.db"},
		"sqlite:///mlflow.db?timeout=30":          {"sqlite", "mlflow.db"},
		"sqlite:///a#b%20c.db":                    {"sqlite", "a#b%20c.db"},
		"sqlite://":                               {"sqlite", ""},
		"sqlite://host/mlflow.db":                 {"sqlite", ""},
		"sqlite:///":                              {"sqlite", ""},
		"postgresql+psycopg2://u:p@h/d?sslmode=x": {"postgresql", ""},
		"postgres://h/d":                          {"postgresql", ""},
		"mysql://h/d":                             {"mysql", ""},
		"sqlite:mlflow.db":                        {},
		"mlflow.db":                               {},
		"":                                        {},
	} {
		if got := Parse(address); got != want {
			t.Errorf("%s: %+v, want %+v", address, got, want)
		}
	}
}

func TestRedactedHoldsNoPassword(t *testing.T) {
	for address, want := range map[string]string{
		"postgresql://u:hush@h/d": "postgresql://u:xxxxx@h/d",
		"postgresql://u:hu%sh@h":  "an address that cannot be read",
		"sqlite:///mlflow.db":     "sqlite:///mlflow.db",
	} {
		if got := Redacted(address); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestCheckFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]error{
		write("database", "SQLite format 3\x00\x10\x00"): nil,
		write("text", "SQLite format 3 is a format"):     ErrNotSQLite,
		write("empty", ""):         ErrNotSQLite,
		filepath.Join(dir, "none"): fs.ErrNotExist,
	} {
		if err := CheckFile(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", filepath.Base(path), err, want)
		}
	}
}
