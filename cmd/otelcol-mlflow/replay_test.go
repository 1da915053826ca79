package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// letters lists the files of the dead-letter directory of the embedded configuration.
func letters(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(".otelcol-mlflow", "dead-letter", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// An artifact that MLflow refuses becomes a dead letter, and nothing else is missing. When
// the cause is mended, replay brings it to its run and the directory is empty.
func TestReplayDeliversADeadLetter(t *testing.T) {
	requests, expected, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	server := beside(t)
	server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/evidence.json") {
			return &mlflowtest.Fault{Status: http.StatusRequestEntityTooLarge, Body: "too large"}
		}
		return nil
	})
	artifacts := func() (n int, done bool) {
		done = true
		runs := runsIn(t, server)
		for _, r := range expected.Runs {
			if one := runs[r.Key]; one == nil || one.Status != r.Status {
				done = false
			} else {
				n += len(one.Artifacts)
			}
		}
		return n, done
	}
	want := 0
	for _, r := range expected.Runs {
		want += len(r.Artifacts)
	}

	defer startCollector(t)()
	send(t, requests)
	await(t, "all but one artifact, and a dead letter", func() bool {
		n, done := artifacts()
		return done && n == want-1 && len(letters(t)) == 1
	})
	name := letters(t)[0]

	if out, err := execute(t, "replay", ".otelcol-mlflow/dead-letter", "--to", "127.0.0.1:1"); err == nil ||
		!strings.Contains(out, "kept  "+filepath.Base(name)) || !strings.Contains(out, "0 sent, 1 kept") {
		t.Errorf("without a Collector: %v\n%s", err, out)
	}
	if left := letters(t); len(left) != 1 || left[0] != name {
		t.Errorf("left: %v", left)
	}
	server.Fail(nil)
	out, err := execute(t, "replay", ".otelcol-mlflow/dead-letter")
	if err != nil || !strings.Contains(out, "sent  "+filepath.Base(name)) || !strings.Contains(out, "1 sent, 0 kept") {
		t.Errorf("%v\n%s", err, out)
	}
	await(t, "the missing artifact", func() bool { n, done := artifacts(); return done && n == want })
	if left := letters(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// What became of a letter is printed before the next one is sent.
func TestReplayPrintsAsItGoes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		td := ptrace.NewTraces()
		td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(name)
		if err := deadletter.Write(dir, "trace", nil, td, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	lines := 0
	err := runReplay(t.Context(), &out, dir, func(context.Context, ptrace.Traces) error {
		if n := strings.Count(out.String(), "\n"); n != lines {
			t.Errorf("%d lines before letter %d:\n%s", n, lines+1, out.String())
		}
		lines++
		return nil
	})
	if err != nil || !strings.HasSuffix(out.String(), "\n2 sent, 0 kept\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// A folder without dead letters is no error, one above them is.
func TestReplayOfAFolderWithoutDeadLettersSaysSo(t *testing.T) {
	inDir(t)
	if err := os.MkdirAll(filepath.Join("state", "dead-letter"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := execute(t, "replay", "state", "--to", "127.0.0.1:1")
	if err != nil || !strings.Contains(out, "there are no dead letters in state: nothing to send") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join("state", "dead-letter", "one.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = execute(t, "replay", "state", "--to", "127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "no dead letters in state, but 1 in state/dead-letter: replay that folder") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplaySaysWhatIsWrong(t *testing.T) {
	inDir(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"replay"}, "replay needs the folder of the dead letters, found 0"},
		{[]string{"replay", "a", "b"}, "replay needs the folder of the dead letters, found 2"},
		{[]string{"plan"}, "plan needs a FILE (- is the standard input), found 0"},
		{[]string{"replay", "missing", "--to", "http://127.0.0.1:4319"}, `must be HOST:PORT such as 127.0.0.1:4319, found "http://127.0.0.1:4319"`},
		{[]string{"replay", "missing", "--to", "garbage"}, "must be HOST:PORT"},
		{[]string{"replay", "missing", "--to", "127.0.0.1:0"}, "must be HOST:PORT"},
		{[]string{"replay", "missing", "--to", "127.0.0.1:otlp"}, "must be HOST:PORT"},
		{[]string{"replay", "missing", "--to", ":4319"}, "read dead letters: open missing"},
		{[]string{"replay", "missing"}, "read dead letters: open missing"},
	} {
		if out, err := execute(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v\n%s", c.args, err, out)
		}
	}
}

// Where nothing listens, or something else than a receiver of OTLP over gRPC, people are told what
// to look at.
func TestReplayToAWrongAddress(t *testing.T) {
	inDir(t)
	if err := deadletter.Write("letters", "trace", nil, oneSpan(), time.Now()); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	other := grpc.NewServer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = other.Serve(l) }()
	defer other.Stop()
	for to, want := range map[string]string{
		"127.0.0.1:1":                "127.0.0.1:1 cannot be reached: is the Collector running? (--to / OTELCOL_REPLAY_ENDPOINT)",
		web.Listener.Addr().String(): web.Listener.Addr().String() + " does not speak OTLP/gRPC",
		l.Addr().String():            l.Addr().String() + " does not speak OTLP/gRPC",
	} {
		out, err := execute(t, "replay", "letters", "--to", to)
		if err == nil || !strings.Contains(out, want) || !strings.Contains(out, "0 sent, 1 kept") {
			t.Errorf("%s: %v\n%s", to, err, out)
		}
	}
}

// A full queue is no wrong address.
func TestWhatTheCollectorAnswersStaysAsItIs(t *testing.T) {
	for _, err := range []error{status.Error(codes.Unavailable, "sending queue is full"), context.Canceled} {
		if got := explained(err, "127.0.0.1:1"); got != err { //nolint:errorlint // the same, not one around it
			t.Errorf("got %v", got)
		}
	}
}

func oneSpan() ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("one")
	return td
}
