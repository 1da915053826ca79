package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the caller has exported for a deployment must reach nothing that the demo starts.
func TestTheDemoIsWithoutTheCallersSettings(t *testing.T) {
	for _, name := range []string{"DATABASE_URL", "LOG_FILE", "METRICS_ADDR", "COMMENTATOR_PROFILE", "GITHUB_TOKEN"} {
		t.Setenv(name, "caller")
	}
	s := &servers{root: t.TempDir(), dir: t.TempDir(), env: []string{"DB_PATH=demo"}}
	program, err := exec.LookPath("env")
	if err != nil {
		t.Skip("there is no program env")
	}
	p, err := start("worker", s.dir, s.env, program)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-p.done; err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.root, "bin", "commentator"), []byte("#!/bin/sh\nenv >command.log\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.commentator(t.Context(), nil, "jobs", "list"); err != nil {
		t.Fatal(err)
	}
	for _, log := range []string{"worker.log", "command.log"} {
		text, err := os.ReadFile(filepath.Join(s.dir, log))
		if err != nil || !strings.Contains(string(text), "DB_PATH=demo") || strings.Contains(string(text), "=caller") {
			t.Errorf("%s: %v\n%s", log, err, text)
		}
	}
}
