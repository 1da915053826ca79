//go:build realserver

package backup

import (
	"bufio"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/technoshare/commentator/internal/store"
)

// client is MLflow's Python client on the database of a folder.
func client(t *testing.T, dir, what string) *exec.Cmd {
	t.Helper()
	python := os.Getenv("MLFLOW_TEST_PYTHON")
	if python == "" {
		t.Fatal("MLFLOW_TEST_PYTHON names no Python that has MLflow; make servers sets it")
	}
	script, err := filepath.Abs("testdata/client.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, script, what)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	return cmd
}

// held is what the client says of a database, by id.
type held struct {
	Runs, Traces map[string]map[string]any
}

func dump(t *testing.T, dir string) held {
	t.Helper()
	out, err := client(t, dir, "dump").Output()
	if err != nil {
		t.Fatal(err)
	}
	var h held
	if err := json.Unmarshal(out, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// MLflow itself writes runs, artifacts and traces, into an experiment whose artifacts are in a
// path, while its database is copied, and jobs are written too. The original is deleted. Then
// MLflow's client finds in the copy what it found in the original.
func TestRealClientFindsTheSameInTheCopy(t *testing.T) {
	dir := t.TempDir()
	writer := client(t, dir, "write")
	in, err := writer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var finished []string // runs that were final before the backup began
	for len(finished) < 24 && lines.Scan() {
		finished = append(finished, lines.Text())
	}
	jobs, err := store.Open(t.Context(), filepath.Join(dir, "db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	stop, written := make(chan struct{}), make(chan int)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				written <- n - 1
				return
			default:
			}
			if _, err := jobs.DB().Exec(`INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (?1, 'C1', ?1, 1)`, n); err != nil {
				t.Error(err)
			}
		}
	}()
	made, err := Create(t.Context(), CreateConfig{
		Source: Source{Dir: dir, JobDatabase: "db.sqlite", Store: "sqlite:///mlflow.db", ArtifactRoot: "mlartifacts"},
		To:     filepath.Join(t.TempDir(), "backups"), Program: "test", Now: clock(),
	})
	close(stop)
	messages := <-written
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	during := 0
	for lines.Scan() {
		during++
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
	if err := writer.Wait(); err != nil {
		t.Fatalf("MLflow's client could not write while the backup was made: %v", err)
	}
	if err := jobs.Close(); err != nil {
		t.Fatal(err)
	}
	before := dump(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}

	into := filepath.Join(t.TempDir(), "restored")
	r, err := Restore(t.Context(), RestoreConfig{From: made.Dir, Into: into})
	if err != nil || len(r.Checked.Problems) > 0 {
		t.Fatal(err, r.Checked.Problems)
	}
	after := dump(t, into)
	counts := made.Manifest.Counts
	if int64(len(after.Runs)) != counts.Runs || int64(len(after.Traces)) != counts.Traces {
		t.Errorf("the client finds %d runs and %d traces; the manifest says %d and %d", len(after.Runs), len(after.Traces), counts.Runs, counts.Traces)
	}
	if during == 0 || messages == 0 || len(before.Runs) <= len(after.Runs) && made.Manifest.Jobs.Tables["messages"] >= int64(messages) {
		t.Errorf("%d runs and %d messages were written meanwhile: this test shows nothing", during, messages)
	}
	rand.Shuffle(len(finished), func(i, j int) { finished[i], finished[j] = finished[j], finished[i] })
	files := 0
	for _, id := range finished[:20] {
		if !reflect.DeepEqual(after.Runs[id], before.Runs[id]) || len(before.Runs[id]) == 0 {
			t.Errorf("run %s is %v; it was %v", id, after.Runs[id], before.Runs[id])
		}
		files += len(after.Runs[id]["artifacts"].(map[string]any))
	}
	traces := 0
	for id, want := range before.Traces {
		if run, _ := want["run"].(string); slices.Contains(finished, run) {
			traces++
			if !reflect.DeepEqual(after.Traces[id], want) {
				t.Errorf("trace %s is %v; it was %v", id, after.Traces[id], want)
			}
		}
	}
	if files < 40 || traces < 20 {
		t.Errorf("only %d artifacts and %d traces were compared", files, traces)
	}
	t.Logf("20 runs with %d artifacts and %d traces are equal; %d runs and %d messages were written around the backup, which holds %+v; %d locations were rewritten",
		files, traces, during, messages, counts, r.Relocated)
}
