package validate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// Channel is the channel of test jobs; no channel of Slack has such an id.
const Channel = "VALIDATION"

// Job is what the worker says of a test job; the names are those of `commentator replay --json`.
type Job struct {
	ID        int64   `json:"job_id"`
	Outcome   string  `json:"outcome"`
	ErrorType string  `json:"error_type"`
	Error     string  `json:"error"`
	Seconds   float64 `json:"seconds"`
	Detail    string  `json:"detail"` // off, tracking or full
}

// Worker runs test jobs.
type Worker struct {
	// Program is the commentator.
	Program string
	// Settings are the variables of its environment, by name; see Settings.
	Settings map[string]string
	// Dir holds its job database, which is made when it is not there.
	Dir string

	pages *pages
	made  int
}

// Start serves the pages that jobs are about.
func (w *Worker) Start(ctx context.Context) (err error) {
	w.pages, err = servePages(ctx)
	return err
}

// Stop ends that.
func (w *Worker) Stop() { w.pages.close() }

// Database is the job database of the test jobs.
func (w *Worker) Database() string { return filepath.Join(w.Dir, "db.sqlite") }

// Run runs n jobs, with telemetry off if asked to, in a process of the worker that ends with
// them.
func (w *Worker) Run(ctx context.Context, n int, off bool) ([]Job, error) {
	event, err := w.event(n)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, w.Program, "replay", "--json", "--event", "-")
	cmd.Dir, cmd.Env = w.Dir, w.environ(n, off)
	cmd.Stdin = bytes.NewReader(event)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // a job did not end well; which one is said
	}
	jobs, parseErr := parseJobs(stdout.Bytes())
	switch {
	case err != nil:
		return nil, fmt.Errorf("run test jobs: %s replay: %w\n%s", w.Program, err, tail(stderr.String()))
	case parseErr != nil:
		return nil, fmt.Errorf("run test jobs: %w", parseErr)
	case len(jobs) != n:
		return nil, fmt.Errorf("run test jobs: %s made %d jobs of %d links\n%s", w.Program, len(jobs), n, tail(stderr.String()))
	}
	return jobs, nil
}

// event is a message with n links, in Slack's form.
func (w *Worker) event(n int) ([]byte, error) {
	now := time.Now()
	text := w.pages.links(w.made, n)
	w.made += n
	return json.Marshal(map[string]any{
		"type": "event_callback", "event_id": fmt.Sprintf("EvValidation%d", now.UnixNano()),
		"event": map[string]string{
			"type": "message", "channel": Channel, "user": "U0VALIDATION", "text": text,
			"ts": commentator.TS(now),
		},
	})
}

func (w *Worker) environ(n int, off bool) []string {
	set := map[string]string{}
	for name, value := range w.Settings {
		set[name] = value
	}
	set["DB_PATH"] = w.Database()
	set["TECHNOSHARE_CHANNEL_ID"], set["LINK_POLICY"], set["MAX_LINKS_PER_MESSAGE"] = Channel, "each", fmt.Sprint(n)
	set["RETRIEVAL_ALLOW_HOSTS"] = w.pages.host
	if off {
		set["MLFLOW_ENABLE_TRACKING"] = "false"
	}
	var out []string
	for name, value := range set {
		out = append(out, name+"="+value)
	}
	return out
}

func parseJobs(out []byte) ([]Job, error) {
	var jobs []Job
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var j Job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			return nil, fmt.Errorf("read what the worker says of jobs: %w", err)
		}
		jobs = append(jobs, j)
	}
	return jobs, lines.Err()
}

// tail is the end of a text.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// foreign are settings that test jobs do without: those of the job database and of Slack, and of
// a model, which would cost money.
var foreign = []string{
	"DATABASE_URL", "COMMENTATOR_PROFILE", "OPENAI_API_KEY", "OPENAI_BASE_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET",
	"LOG_FILE", "METRICS_ADDR", "FAILURE_NOTICE",
}

// Settings are those under which test jobs run, made of all that the deployment has: where its
// files lie is made absolute, and runs go to an experiment.
func Settings(deployed map[string]string, dir, samplingFile, experiment string) (map[string]string, error) {
	set := map[string]string{}
	for name, value := range deployed {
		set[name] = value
	}
	if profile := set["COMMENTATOR_PROFILE"]; profile != "" && !strings.Contains(set["OTEL_RESOURCE_ATTRIBUTES"], "deployment.environment.name=") {
		set["OTEL_RESOURCE_ATTRIBUTES"] = strings.TrimPrefix(set["OTEL_RESOURCE_ATTRIBUTES"]+",deployment.environment.name="+profile, ",")
	}
	for _, name := range foreign {
		delete(set, name)
	}
	set["MLFLOW_EXPERIMENT_NAME"] = experiment
	set["SAMPLING_FILE"] = samplingFile
	if set["DATA_DIR"] == "" {
		set["DATA_DIR"] = "data"
	}
	for _, name := range []string{"SAMPLING_FILE", "DATA_DIR", "REDACTION_FILE", "RETRIEVAL_PDF_CACHE"} {
		if set[name] == "" || filepath.IsAbs(set[name]) {
			continue
		}
		abs, err := filepath.Abs(filepath.Join(dir, set[name]))
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", name, err)
		}
		set[name] = abs
	}
	return set, nil
}

// FindProgram finds the commentator: at a path, beside another program, or where the system
// looks for programs.
func FindProgram(path, beside string) (string, error) {
	const remedy = "--commentator says where it is"
	if path != "" {
		abs, err := filepath.Abs(path)
		if err == nil {
			_, err = os.Stat(abs)
		}
		if err != nil {
			return "", fmt.Errorf("find the commentator: %w; %s", err, remedy)
		}
		return abs, nil
	}
	next := filepath.Join(filepath.Dir(beside), "commentator")
	if info, err := os.Stat(next); err == nil && info.Mode().IsRegular() {
		return next, nil
	}
	found, err := exec.LookPath("commentator")
	if err != nil {
		return "", fmt.Errorf("find the commentator: it is neither beside %s nor in PATH; %s", beside, remedy)
	}
	return filepath.Abs(found)
}
