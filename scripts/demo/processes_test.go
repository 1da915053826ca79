package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A log holds the lines of earlier demos too, which say nothing about this one.
func TestOnlyLinesOfThisRunAreQuoted(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "mlflow.log")
	if err := os.WriteFile(log, []byte("an earlier failure\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ script, want string }{
		{"exit 3", "mlflow ended (exit status 3); it wrote nothing into " + log},
		{"echo 'the port is taken'; exit 3", "mlflow ended (exit status 3); the end of " + log + " says:\nthe port is taken"},
	} {
		p, err := start("mlflow", dir, nil, "/bin/sh", "-c", c.script)
		if err != nil {
			t.Fatal(err)
		}
		s := &servers{dir: dir, processes: []*process{p}}
		if got := s.logOf("mlflow"); got != p.log {
			t.Errorf("log %v, want %v", got, p.log)
		}
		err = p.waitHTTP(t.Context(), "http://127.0.0.1:1/", time.Minute)
		if err == nil || err.Error() != c.want {
			t.Errorf("is   %v\nwant %s", err, c.want)
		}
	}
	p := processLog{path: log}
	if err := os.WriteFile(log, []byte(strings.Repeat("line\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(p.end(), "line"); got != tailLines {
		t.Errorf("%d lines", got)
	}
}

func TestAnInterruptedDemoSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	late := errors.New("mlflow does not answer after 2m0s")
	if got := outcome(ctx, late); !errors.Is(got, late) {
		t.Errorf("%v", got)
	}
	cancel()
	if got := outcome(ctx, late); !errors.Is(got, errInterrupted) {
		t.Errorf("%v", got)
	}
	if got := outcome(ctx, nil); got != nil { // ended by demo-stop, when all was shown
		t.Errorf("%v", got)
	}
}
