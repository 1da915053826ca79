package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

const traceKey = "f8b979a27c33ebfe3388ad789a6f6a86"

// startMLflow starts a fake of MLflow for a test.
func startMLflow(t *testing.T) *mlflowtest.Server {
	t.Helper()
	s := mlflowtest.Start()
	t.Cleanup(s.Close)
	return s
}

func clientOf(t *testing.T, s *mlflowtest.Server) *mlflow.Client {
	t.Helper()
	c, err := mlflow.New(mlflow.Config{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// seed puts job 7 with a stage into an experiment, and its trace when asked to.
func seed(t *testing.T, s *mlflowtest.Server, experiment string, traced bool) (runID string) {
	t.Helper()
	c := clientOf(t, s)
	ctx := t.Context()
	id, err := c.CreateExperiment(ctx, experiment)
	if err != nil {
		t.Fatal(err)
	}
	run, err := c.CreateRun(ctx, mlflow.CreateRun{ExperimentID: id, Name: "job_7", StartTime: 1, Tags: []mlflow.KeyValue{
		{Key: wire.TagKey, Value: traceKey}, {Key: "outcome", Value: "success"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LogBatch(ctx, mlflow.Batch{RunID: run.Info.ID, Params: []mlflow.KeyValue{{Key: "job_id", Value: "7"}, {Key: "channel_id", Value: "C123"}, {Key: "message_ts", Value: "1718000000.000100"}}}); err != nil {
		t.Fatal(err)
	}
	if traced {
		if err := c.StartTrace(ctx, mlflow.TraceInfo{TraceID: "tr-" + traceKey, Location: mlflow.InExperiment(id), RequestTime: "2026-01-01T00:00:00Z", State: "OK"}); err != nil {
			t.Fatal(err)
		}
	}
	return run.Info.ID
}

func mlflowctl(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, nil, t.TempDir(), &out, &err)
	return code, out.String(), err.String()
}

func TestOpenPrintsTheAddressesOfRunAndTrace(t *testing.T) {
	s := startMLflow(t)
	runID := seed(t, s, "team", true)
	const message, reply = "https://x.slack.com/archives/C123/p1718000000000100", "https://x.slack.com/archives/C123/p1718000009000100?thread_ts=1718000000.000100&cid=C123"
	for _, job := range []string{"7", traceKey, message, reply} {
		code, stdout, stderr := mlflowctl(t, "--tracking-uri", s.URL, "open", "--json", job)
		if code != 0 {
			t.Fatalf("open %s: exit %d: %s", job, code, stderr)
		}
		var got opened
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatal(err)
		}
		want := opened{
			Job: "7", Status: "RUNNING", Outcome: "success", RunID: runID, RunURL: s.URL + "/#/experiments/1/runs/" + runID,
			TraceID: "tr-" + traceKey, TraceURL: s.URL + "/#/experiments/1/traces?selectedEvaluationId=tr-" + traceKey,
		}
		if got != want {
			t.Errorf("open %s:\n got %+v\nwant %+v", job, got, want)
		}
	}
}

func TestOpenSaysWhenAJobHasNoTrace(t *testing.T) {
	s := startMLflow(t)
	runID := seed(t, s, "team", false)
	code, stdout, stderr := mlflowctl(t, "--tracking-uri", s.URL, "--experiment", "team", "open", "7")
	if code != 0 || !strings.Contains(stdout, runID) || !strings.Contains(stdout, "trace  none") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

func TestOpenExplainsWhatIsWrong(t *testing.T) {
	s := startMLflow(t)
	seed(t, s, "team", false)
	down := mlflowtest.Start()
	down.Close()
	for _, c := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"no such job", "no run of job 8", exitFailed, []string{"--tracking-uri", s.URL, "open", "8"}},
		{"neither id", "neither a job id", exitFailed, []string{"--tracking-uri", s.URL, "open", "job_7"}},
		{"a cut link", "is no link to a message", exitFailed, []string{"--tracking-uri", s.URL, "open", "https://x.slack.com/archives/C1"}},
		{"a message without job", "no run of message 1718000000.000100 of channel C1", exitFailed, []string{"--tracking-uri", s.URL, "open", "https://x.slack.com/archives/C1/p1718000000000100"}},
		{"no such experiment", `no experiment "other"`, exitFailed, []string{"--tracking-uri", s.URL, "--experiment", "other", "open", "7"}},
		{"server down", "Is MLflow running on " + down.URL, exitFailed, []string{"--tracking-uri", down.URL, "open", "7"}},
		{"bad address", "want http", exitUsage, []string{"--tracking-uri", "localhost:5000", "open", "7"}},
		{"misspelt command", "did you mean", exitUsage, []string{"opn", "7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := mlflowctl(t, c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, want %d; stderr lacks %q:\n%s", code, c.code, c.want, stderr)
			}
		})
	}
}

// A run that is not found may never have been there, or be gone.
func TestOpenNamesWhyThereMayBeNoRun(t *testing.T) {
	s := startMLflow(t)
	id := seed(t, s, "team", false)
	c := clientOf(t, s)
	if err := c.DeleteRun(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"open", "7"}, {"export", "7", "--to", t.TempDir()}} {
		code, _, stderr := mlflowctl(t, append([]string{"--tracking-uri", s.URL}, args...)...)
		for _, want := range []string{"no run of job 7", "not recorded", "not delivered", "deleted", "mlflowctl retention"} {
			if code != exitFailed || !strings.Contains(stderr, want) {
				t.Errorf("%q: exit %d; %q does not say %q", args, code, stderr, want)
			}
		}
	}
}
