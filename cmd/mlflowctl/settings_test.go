package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestProblemsOfTheSettingsAreALineEach(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	if err := os.WriteFile(path, []byte("MLFLOW_ENABLE_TRACKING=maybe\nLINK_POLICY=last\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"reconcile"}, nil, dir, &out, &errs)
	want := "mlflowctl: " + path + `:1: MLFLOW_ENABLE_TRACKING: "maybe" is neither true nor false; write one of them` +
		"\nmlflowctl: " + path + `:2: LINK_POLICY: "last" is not known; use each or first` + "\n"
	if code != exitUsage || errs.String() != want {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, &errs, want)
	}
}
