package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/telemetry"
)

// failing are results of one try that did not pass, for which a model gave a reason.
func failing(reason string) *evaluation.Results {
	return &evaluation.Results{
		Schema: evaluation.SchemaVersion, ID: "7f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b", Dataset: evaluation.DatasetRef{Name: "links", Examples: 1}, Repetitions: 1,
		Scorers: []evaluation.ScorerInfo{{Name: "judge", Required: true}},
		Tries: []evaluation.Try{{
			Example: "one", Repetition: 1, Error: evaluation.ErrorNone, Scores: []evaluation.Score{{Name: "judge", Reason: reason}},
		}},
	}
}

// Results that were paid for are shown when their file cannot be written, and it is said where they are.
func TestResultsThatCannotBeSavedArePrinted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{cfg: config.Config{EvalDBPath: "kept.sqlite"}, stdout: &out, stderr: io.Discard}
	c := evalRunCommand{Out: filepath.Join(file, "results.json"), Threshold: 1}
	err := c.finish(a, failing("no"))
	var end evalEnd
	if err == nil || errors.As(err, &end) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"write results: ", "kept in kept.sqlite as evaluation 7f1c2a34-"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if !strings.Contains(out.String(), "total 1, passed 0, failed 1") {
		t.Errorf("printed: %s", &out)
	}
}

// What a model says reaches the terminal as text.
func TestWhatModelsSayIsTextToATerminal(t *testing.T) {
	var out bytes.Buffer
	c := evalRunCommand{Threshold: 1}
	err := c.finish(&app{stdout: &out, stderr: io.Discard}, failing("\x1b[2J\x1b]0;title\x07it is bad"))
	var end evalEnd
	if !errors.As(err, &end) || end.code != exitEvalFailed || strings.ContainsAny(out.String(), "\x1b\x07") || !strings.Contains(out.String(), "it is bad") {
		t.Errorf("%v, %q", err, &out)
	}
}

// An error of closing is said beside a verdict, which keeps its exit code.
func TestAnErrorOfClosingIsSaidBesideAVerdict(t *testing.T) {
	disk := errors.New("the disk is full")
	for _, tc := range []struct {
		name string
		err  error
		code int
		says string
	}{
		{"all well", closed(nil, nil), exitOK, ""},
		{"a verdict", closed(evalEnd{code: exitEvalInconclusive}, nil), exitEvalInconclusive, ""},
		{"a verdict and an error", closed(evalEnd{code: exitEvalInconclusive}, disk), exitEvalInconclusive, "the disk is full"},
		{"an error alone", impossible(closed(nil, disk)), exitEvalImpossible, "the disk is full"},
		{"two errors", impossible(closed(errors.New("no model"), disk)), exitEvalImpossible, "no model\nthe disk is full"},
	} {
		var errs bytes.Buffer
		if code := report(&errs, nil, tc.err); code != tc.code || !strings.Contains(errs.String(), tc.says) || (tc.says == "") != (errs.Len() == 0) {
			t.Errorf("%s: exit code %d, want %d: %s", tc.name, code, tc.code, &errs)
		}
	}
}

// Nobody looks into the database of evaluations: what the Collector refuses is said where it happens.
func TestEvaluationSaysWhatTheCollectorRefused(t *testing.T) {
	store, err := evaluation.OpenStore(t.Context(), filepath.Join(t.TempDir(), "eval.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0, 0)
	if err := store.Finish(t.Context(), "e", nil, telemetry.Message{Kind: "eval_suite", Body: []byte("b"), Size: 1}, at); err != nil {
		t.Fatal(err)
	}
	claim, err := store.Claim(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Refuse(t.Context(), claim.Rows()[0].ID, "it is too large", at); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p := &evalParts{app: &app{log: slog.New(slog.NewTextHandler(&log, nil))}, store: store}
	if err := p.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the Collector refused telemetry", "messages=1", `reason="it is too large"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q does not say %q", &log, want)
		}
	}
}
