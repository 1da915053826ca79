//go:build linux

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/internal/migrate"
	"github.com/technoshare/commentator/internal/wire/fixture"
	"github.com/technoshare/commentator/test/slackfake"
)

// experiment is that of the old guide, which the old runs are in and the new ones come to.
const experiment = "technoshare_commentator"

// oldDotenv is what the old deployment was set up with. Its switches are in forms that both programs read.
const oldDotenv = `SLACK_BOT_TOKEN=xoxb-fake
SLACK_SIGNING_SECRET=signing-secret
TECHNOSHARE_CHANNEL_ID=` + channel + `
OPENAI_API_KEY=key-of-nobody
export DB_PATH=./db.sqlite
MAX_LINKS_PER_MESSAGE=3
MODEL_STAGE_A=gpt-4o
MODEL_STAGE_B=gpt-4o
LOG_LEVEL=INFO

# MLflow
MLFLOW_TRACKING_URI=http://` + guideMLflow + `
MLFLOW_EXPERIMENT_NAME=technoshare_commentator
export MLFLOW_ENABLE_TRACKING=true
  MLFLOW_ENABLE_TRACING="True"
`

// oldStatuses are those of the old jobs, in the order of their messages.
var oldStatuses = []string{"done", "done", "failed", "done", "processing", "pending"}

// old is the old deployment: a folder, and what was in it when it was left.
type old struct {
	version  string // of its MLflow
	messages []slackfake.Message
	pages    []string
	jobs     int           // in its database
	open     []int         // messages whose jobs are not done, by their position
	runsOf   int           // jobs that it recorded
	held     heldByOld     // what its MLflow holds
	took     time.Duration // median, of recording a job by the SDK
	server   *exec.Cmd     // nil: it is stopped
	over     chan struct{} // closed when it has ended
}

// makeOld makes the database, .env, prompts and a history in Slack.
func (r *rehearsal) makeOld(ctx context.Context, s *step) error {
	o := &r.old
	var t migrate.Tables
	for i, status := range oldStatuses {
		page := r.world.pages[i%len(r.world.pages)]
		m, _ := r.world.slack.Write(person(page))
		o.messages, o.pages = append(o.messages, m), append(o.pages, page)
		id, now := int64(i+1), time.Now().UTC().Format(time.DateTime)
		t.Messages = append(t.Messages, migrate.OldMessage{
			ID: id, Channel: given(channel), TS: given(m.TS), User: given(m.User), Text: given(m.Text), CreatedAt: given(now), Status: given("received"),
		})
		j := migrate.OldJob{ID: id, Channel: given(channel), TS: given(m.TS), Status: given(status), Attempts: given("1"), CreatedAt: given(now), UpdatedAt: given(now)}
		switch status {
		case "done":
			r.world.slack.Write(slackfake.Message{Channel: channel, ThreadTS: m.TS, User: slackfake.BotUser, BotID: slackfake.BotID, Text: "*tldr*\n• By the old program."})
		case "failed":
			j.LastError = given("HTTPError: 404")
		default:
			o.open = append(o.open, i)
		}
		t.Jobs = append(t.Jobs, j)
	}
	t.LastMessageID, t.LastJobID = int64(len(t.Messages)), int64(len(t.Jobs))
	o.jobs = len(t.Jobs)
	if err := migrate.Write(ctx, filepath.Join(r.place.old, "db.sqlite"), t); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.place.old, ".env"), []byte(r.place.here(oldDotenv)), 0o600); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(r.place.old, "data", "prompts"), os.DirFS(filepath.Join(r.place.top, "data", "prompts"))); err != nil {
		return err
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "data"}, {"-c", "user.name=old", "-c", "user.email=old@localhost", "commit", "-q", "-m", "The old program"}} {
		if _, err := output(r.place.command(ctx, r.place.old, "git", args...)); err != nil {
			return err
		}
	}
	s.did("wrote a database of the old form: %d messages and jobs (%s); .env with tracking and tracing on; prompts", o.jobs, strings.Join(oldStatuses, ", "))
	return nil
}

func given(text string) sql.NullString { return sql.NullString{String: text, Valid: true} }

// startOld starts the old MLflow as its start script did.
func (r *rehearsal) startOld(ctx context.Context, dir string) error {
	interpreter, err := r.place.interpreter(ctx, r.old.version)
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(r.place.mlflow, ":")
	cmd := r.place.command(ctx, dir, interpreter, "-m", "mlflow", "server", "--host", host, "--port", port,
		"--backend-store-uri", "sqlite:///mlflow.db", "--default-artifact-root", "./mlartifacts")
	log, err := os.OpenFile(filepath.Join(dir, "mlflow.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	// The old server's workers find its Python's programs by the path.
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(interpreter)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	over := make(chan struct{})
	r.old.server, r.old.over = cmd, over
	go func() { defer close(over); _ = cmd.Wait() }() // how it ended is in its log
	return until(ctx, "MLflow "+r.old.version+" to answer", func() (bool, error) {
		select {
		case <-over:
			r.old.server = nil
			text, _ := os.ReadFile(log.Name())
			return false, fmt.Errorf("MLflow %s ended\n%s", r.old.version, last(string(text), 4000))
		default:
		}
		return answers("http://" + r.place.mlflow + "/health"), nil
	})
}

// stopOld ends it, if it runs.
func (r *rehearsal) stopOld() {
	if r.old.server == nil {
		return
	}
	group := r.old.server.Process.Pid
	_ = syscall.Kill(-group, syscall.SIGTERM)
	select {
	case <-r.old.over:
	case <-time.After(20 * time.Second):
	}
	_ = syscall.Kill(-group, syscall.SIGKILL) // its workers
	r.old.server = nil
}

func answers(url string) bool {
	res, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// recordByOld lets the SDK record the jobs that the old program finished.
func (r *rehearsal) recordByOld(ctx context.Context, s *step) error {
	dir, err := fixture.Dir()
	if err != nil {
		return err
	}
	var each []map[string]string
	for i, status := range oldStatuses {
		if status == "done" {
			each = append(each, map[string]string{
				"job.id": fmt.Sprint(i + 1), "slack.channel.id": channel, "slack.message.ts": r.old.messages[i].TS, "url.full": r.old.pages[i],
			})
		}
	}
	r.old.runsOf = len(each)
	request, err := json.Marshal(map[string]any{"each": each})
	if err != nil {
		return err
	}
	interpreter, err := r.place.interpreter(ctx, r.old.version)
	if err != nil {
		return err
	}
	cmd := r.place.command(ctx, r.place.old, interpreter, filepath.Join(r.place.top, "scripts", "mlflow", "sdk_job.py"), filepath.Join(dir, "otlp", "model.json"), experiment)
	cmd.Stdin = strings.NewReader(string(request) + "\n")
	cmd.Env = append(cmd.Env, "MLFLOW_TRACKING_URI=http://"+r.place.mlflow)
	out, err := output(cmd)
	if err != nil {
		return fmt.Errorf("record by the old SDK: %w", err)
	}
	_, answer, _ := strings.Cut(string(out), "\n") // the first line is its version
	var took struct{ MS []float64 }
	if err := json.Unmarshal([]byte(answer), &took); err != nil || len(took.MS) != len(each) {
		return fmt.Errorf("record by the old SDK: it says %q", out)
	}
	slices.Sort(took.MS)
	r.old.took = time.Duration(took.MS[len(took.MS)/2]) * time.Millisecond
	s.did("recorded %d jobs by the old pipeline's calls of the SDK, %d ms each (median)", len(each), r.old.took.Milliseconds())
	return nil
}

// heldByOld is what held.py says of an experiment.
type heldByOld struct {
	Version      string     `json:"version"`
	ArtifactRoot string     `json:"artifact_root"`
	Runs         []oldRun   `json:"runs"`
	Traces       []oldTrace `json:"traces"`
}

type oldRun struct {
	ID        string             `json:"id"`
	Name      string             `json:"name"`
	Status    string             `json:"status"`
	StartMS   int64              `json:"start_ms"`
	EndMS     int64              `json:"end_ms"`
	Parent    string             `json:"parent"`
	Params    map[string]string  `json:"params"`
	Tags      map[string]string  `json:"tags"`
	Metrics   map[string]float64 `json:"metrics"`
	Artifacts map[string]string  `json:"artifacts"`
}

type oldTrace struct {
	ID    string     `json:"id"`
	Name  string     `json:"name"`
	State string     `json:"state"`
	Run   string     `json:"run"`
	Spans [][]string `json:"spans"`
}

func (h heldByOld) files() (n int) {
	for _, r := range h.Runs {
		n += len(r.Artifacts)
	}
	return n
}

func (h heldByOld) spans() (n int) {
	for _, t := range h.Traces {
		n += len(t.Spans)
	}
	return n
}

// hold asks a server by the client of a version; "": the current one.
func (r *rehearsal) hold(ctx context.Context, version string) (held heldByOld, err error) {
	out, err := r.place.python(ctx, version, r.place.old, []string{"MLFLOW_TRACKING_URI=http://" + r.place.mlflow},
		[]string{filepath.Join(r.place.top, "test", "rehearse", "testdata", "held.py"), experiment})
	if err != nil {
		return held, err
	}
	return held, json.Unmarshal(out, &held)
}

// within makes sure that all of what was held before is held now, as it was.
func (h heldByOld) within(now heldByOld) error {
	var wrong []error
	for _, want := range h.Runs {
		i := slices.IndexFunc(now.Runs, func(r oldRun) bool { return r.ID == want.ID })
		if i < 0 {
			wrong = append(wrong, fmt.Errorf("run %s (%s) is not there", want.Name, want.ID))
			continue
		}
		got := now.Runs[i]
		if got.Name != want.Name || got.Status != want.Status || got.StartMS != want.StartMS || got.EndMS != want.EndMS || got.Parent != want.Parent ||
			!maps.Equal(got.Params, want.Params) || !maps.Equal(got.Tags, want.Tags) || !maps.Equal(got.Metrics, want.Metrics) || !maps.Equal(got.Artifacts, want.Artifacts) {
			wrong = append(wrong, fmt.Errorf("run %s (%s) is %+v; it was %+v", want.Name, want.ID, got, want))
		}
	}
	for _, want := range h.Traces {
		i := slices.IndexFunc(now.Traces, func(t oldTrace) bool { return t.ID == want.ID })
		if i < 0 {
			wrong = append(wrong, fmt.Errorf("trace %s is not there", want.ID))
			continue
		}
		got := now.Traces[i]
		if got.Name != want.Name || got.State != want.State || got.Run != want.Run || !slices.EqualFunc(got.Spans, want.Spans, slices.Equal) {
			wrong = append(wrong, fmt.Errorf("trace %s is %+v; it was %+v", want.ID, got, want))
		}
	}
	return errors.Join(wrong...)
}

// oldDeployment is the first step.
func (r *rehearsal) oldDeployment(ctx context.Context, s *step) error {
	if err := r.makeOld(ctx, s); err != nil {
		return err
	}
	if err := r.startOld(ctx, r.place.old); err != nil {
		return err
	}
	s.did("started MLflow %s as the old start script did: SQLite, a folder as artifact root", r.old.version)
	if err := r.recordByOld(ctx, s); err != nil {
		return err
	}
	var err error
	if r.old.held, err = r.hold(ctx, r.old.version); err != nil {
		return err
	}
	h := r.old.held
	if len(h.Runs) != 6*r.old.runsOf || len(h.Traces) != r.old.runsOf || h.files() != 6*r.old.runsOf {
		return fmt.Errorf("the old MLflow holds %d runs, %d artifacts and %d traces of %d jobs", len(h.Runs), h.files(), len(h.Traces), r.old.runsOf)
	}
	if !strings.HasPrefix(h.ArtifactRoot, filepath.Join(r.place.old, "mlartifacts")) {
		return fmt.Errorf("artifact root %s is no folder of the old deployment", h.ArtifactRoot)
	}
	s.checked("by MLflow %s's client: %d runs, %d artifacts, %d traces of %d spans; the experiment's artifact root is an absolute path", h.Version, len(h.Runs), h.files(), len(h.Traces), h.spans())
	return nil
}
