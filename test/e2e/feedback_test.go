//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/feedback"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

const (
	channel = "C0123456789"
	replyTS = "1700000000.000200"
	anna    = "U0000000AN1"
	bert    = "U0000000BE2"
)

// react lets somebody react to the reply to a worker's job, and waits until the Collector has
// what that comes to.
func (w *worker) react(t *testing.T, user, name string, us int, added bool) {
	t.Helper()
	s, err := store.Open(t.Context(), w.database())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.DB().Exec(`
		INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts) VALUES (1, 0, ?, '1700000000.000100', 1, 0, ?) ON CONFLICT DO NOTHING`, channel, replyTS)
	if err != nil {
		t.Fatal(err)
	}
	p, err := telemetry.New(t.Context(), telemetry.Config{
		Mode: telemetry.ModeTracking, Endpoint: "http://" + w.collector, StoreID: s.StoreID(), PseudonymKey: s.PseudonymKey(),
	}, s)
	if err != nil {
		t.Fatal(err)
	}
	f := feedback.New(feedback.Config{Store: s, Telemetry: p, Up: []string{"+1"}, Down: []string{"-1"}})
	err = f.React(t.Context(), commentator.Reaction{
		Channel: channel, MessageTS: replyTS, User: user, Name: name, Added: added,
		EventTS: fmt.Sprintf("1700000100.%06d", us), ReceivedAt: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	end, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Shutdown(end); err != nil {
		t.Fatal(err)
	}
	if rows, _, _, err := s.Depth(end); rows != 0 || err != nil {
		t.Fatalf("%d messages wait, %v", rows, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// person is the pseudonym of a person in a worker's database.
func (w *worker) person(t *testing.T, user string) string {
	t.Helper()
	db := w.open(t)
	defer db.Close()
	var key string
	if err := db.QueryRow(`SELECT value FROM meta WHERE key = 'pseudonym_key'`).Scan(&key); err != nil {
		t.Fatal(err)
	}
	return redact.Pseudonym(key, user)
}

// TestFeedback lets two people react to replies, change their minds and take it back. A job
// with a trace has it as assessments, and one that is tracked only on its run like that one.
func TestFeedback(t *testing.T) {
	const experiment = "feedback"
	s := sharedServer(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	full, tracked := newWorker(t, c), newWorker(t, c)
	tracked.settings = []string{"MLFLOW_ENABLE_TRACING=false"}
	workers := map[string]*worker{"with a trace": full, "tracked only": tracked}
	for name, w := range workers {
		w.run(t, "replay", w.page)
		w.flushed(t)
		w.awaitRun(t, s, c, experiment, name)
	}
	for i, step := range []struct {
		user, name string
		added      bool
		count      float64
		mean       float64
		tag        string
		said       map[string]string // user → value
	}{
		{anna, "+1", true, 1, 1, "thumbs_up", map[string]string{anna: "1"}},
		{bert, "+1", true, 2, 1, "thumbs_up 2", map[string]string{anna: "1", bert: "1"}},
		{bert, "-1", true, 2, 0.5, "thumbs_down 1, thumbs_up 1", map[string]string{anna: "1", bert: "0"}}, // changed
		{bert, "-1", false, 2, 1, "thumbs_up 2", map[string]string{anna: "1", bert: "1"}},                 // the older one stands again
		{bert, "+1", false, 1, 1, "thumbs_up", map[string]string{anna: "1"}},                              // taken back
		{anna, "+1", false, 0, 0, "", map[string]string{}},
	} {
		for name, w := range workers {
			w.react(t, step.user, step.name, i+1, step.added)
			id := w.traceID(t)
			var wrong string
			err := c.until(fmt.Sprintf("step %d of the job %s", i+1, name), func() bool {
				held := s.dump(t, experiment)
				wrong = w.judged(t, held, id, step.count, step.mean, step.tag, step.said)
				return wrong == ""
			})
			if err != nil {
				t.Fatalf("%s: %v", wrong, err)
			}
		}
	}
	held := s.dump(t, experiment)
	if len(held.Runs) != 12 || len(held.Traces) != 1 {
		t.Errorf("%d runs and %d traces; want 12 and 1", len(held.Runs), len(held.Traces))
	}
	for _, wrong := range held.checkSuccess(full.traceID(t)) {
		t.Error(wrong)
	}
}

// judged says what is wrong with what MLflow holds of a job's verdicts.
func (w *worker) judged(t *testing.T, held state, id string, count, mean float64, tag string, said map[string]string) string {
	t.Helper()
	runs := held.runs(id)
	if len(runs) != 1 {
		return fmt.Sprintf("%d runs", len(runs))
	}
	m := runs[0].Metrics
	if m["feedback/helpful/count"] != count || m["feedback/helpful/mean"] != mean || runs[0].Tags["feedback.helpful"] != tag {
		return fmt.Sprintf("run: %g verdicts, mean %g, tag %q", m["feedback/helpful/count"], m["feedback/helpful/mean"], runs[0].Tags["feedback.helpful"])
	}
	i := slices.IndexFunc(held.Traces, func(t trace) bool { return t.ID == "tr-"+id })
	if i < 0 {
		if len(w.settings) == 0 {
			return "there is no trace"
		}
		return ""
	}
	var want []string
	for user, value := range said {
		want = append(want, fmt.Sprintf("helpful=%s by %s: ", value, w.person(t, user)))
	}
	slices.Sort(want)
	if !slices.Equal(want, held.Traces[i].Assessments) && len(want)+len(held.Traces[i].Assessments) > 0 {
		return fmt.Sprintf("assessments %q; want %q", held.Traces[i].Assessments, want)
	}
	return ""
}
