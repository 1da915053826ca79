package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

func TestRetentionExplainsWhatIsWrong(t *testing.T) {
	s := startMLflow(t)
	down := mlflowtest.Start()
	down.Close()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte("no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want string
		code int
		args []string
	}{
		"age":                    {`--keep-for: "3 weeks" is no age`, exitUsage, []string{"--keep-for", "3 weeks"}},
		"too young":              {"--keep-for is 1h0m0s: want 1d or more", exitUsage, []string{"--keep-for", "1h"}},
		"fewer than none":        {"--keep-last is -1", exitUsage, []string{"--keep-last=-1"}},
		"fewer than none, apart": {"--keep-last is -1: want 0 or more", exitUsage, []string{"--keep-last", "-1"}},
		"PostgreSQL":             {"retention on it is not supported yet", exitFailed, []string{"--mlflow-store", "postgresql://u:s3cr3t@h/d"}},
		"S3":                     {"only on a local directory", exitFailed, []string{"--artifacts", "s3://bucket", "--mlflow-store", "sqlite:///" + text}},
		"no database":            {"there is no " + filepath.Join(dir, "none.db"), exitFailed, []string{"--mlflow-store", "sqlite:///" + filepath.Join(dir, "none.db")}},
		"text":                   {"is no SQLite database", exitFailed, []string{"--mlflow-store", "sqlite:///" + text}},
	} {
		code, _, stderr := mlflowctl(t, append([]string{"--tracking-uri", s.URL, "retention"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "s3cr3t") {
			t.Errorf("%s: exit %d, want %d; stderr lacks %q:\n%s", name, code, c.code, c.want, stderr)
		}
	}
	code, stdout, _ := mlflowctl(t, "retention", "--help")
	if code != 0 || !strings.Contains(stdout, "technoshare.keep") || !strings.Contains(stdout, "--apply") {
		t.Errorf("help: exit %d\n%s", code, stdout)
	}
}
