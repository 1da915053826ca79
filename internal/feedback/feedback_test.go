package feedback

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answered is a database with a job of that detail that was answered by message 2.000000.
func answered(t *testing.T, detail commentator.Detail) (*store.Store, commentator.Job) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	m := commentator.Message{Channel: "C1", TS: "1.000000", User: "U1", ReceivedAt: time.Now()}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://example.org/"}, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	decide := func(commentator.Job, commentator.Message) commentator.Decision {
		return commentator.Decision{Detail: detail}
	}
	none := func(commentator.Job, commentator.Message) (telemetry.Message, error) { return telemetry.Message{}, nil }
	a, err := s.BeginAttempt(t.Context(), jobs[0].ID, time.Now(), decide, none)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.DB().Exec(`INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts) VALUES (?, 0, 'C1', '1.000000', 1, 0, '2.000000')`, a.Job.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s, a.Job
}

func newFeedback(t *testing.T, s *store.Store) *Feedback {
	t.Helper()
	p, err := telemetry.New(t.Context(), telemetry.Config{Mode: telemetry.ModeTracing, StoreID: s.StoreID(), PseudonymKey: s.PseudonymKey()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Shutdown(end) // nobody takes its metrics
	})
	return New(Config{Store: s, Telemetry: p, Up: []string{"+1", "thumbsup"}, Down: []string{":-1:", "thumbsdown"}})
}

func messages(t *testing.T, s *store.Store) (kinds []string) {
	t.Helper()
	rows, err := s.Unsent(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

func TestReactionsBecomeVerdicts(t *testing.T) {
	s, _ := answered(t, commentator.DetailTracking)
	f := newFeedback(t, s)
	r := commentator.Reaction{Channel: "C1", MessageTS: "2.000000", User: "U2", Name: "+1", Added: true, EventTS: "3.000000"}
	with := func(change func(*commentator.Reaction)) commentator.Reaction {
		c := r
		change(&c)
		return c
	}
	for _, one := range []struct {
		r       commentator.Reaction
		outcome string
	}{
		{r, OutcomeVerdict},
		{r, OutcomeUnchanged},
		{with(func(r *commentator.Reaction) { r.Name = "+1::skin-tone-3"; r.Added = false; r.EventTS = "4.000000" }), OutcomeVerdict},
		{with(func(r *commentator.Reaction) { r.Name = ":-1:"; r.EventTS = "5.000000" }), OutcomeVerdict},
		{with(func(r *commentator.Reaction) { r.Name = "tada" }), OutcomeNoVerdict},
		{with(func(r *commentator.Reaction) { r.MessageTS = "1.000000" }), OutcomeNoReply}, // the link, not the reply
		{with(func(r *commentator.Reaction) { r.Channel = "C2" }), OutcomeNoReply},
		{with(func(r *commentator.Reaction) { r.EventTS = "" }), OutcomeMalformed},
		{with(func(r *commentator.Reaction) { r.User = "" }), OutcomeMalformed},
	} {
		outcome, err := f.react(t.Context(), one.r)
		if err != nil || outcome != one.outcome {
			t.Errorf("%+v: %s, %v; want %s", one.r, outcome, err, one.outcome)
		}
		if err := f.React(t.Context(), one.r); err != nil { // what it comes to stays
			t.Error(err)
		}
	}
	got := messages(t, s)
	if len(got) != 3 || got[0] != wire.SpanFeedback {
		t.Errorf("messages %v", got)
	}
	opinions, err := s.Opinions(t.Context(), time.Time{})
	if err != nil || len(opinions) != 1 || opinions[0].Value != commentator.VerdictDown {
		t.Errorf("verdicts %+v, %v", opinions, err)
	}
}

func TestOfAJobThatIsOffTheVerdictStaysInTheDatabase(t *testing.T) {
	s, _ := answered(t, commentator.DetailOff)
	r := commentator.Reaction{Channel: "C1", MessageTS: "2.000000", User: "U2", Name: "+1", Added: true, EventTS: "3.000000"}
	for _, f := range []*Feedback{newFeedback(t, s), New(Config{Store: s, Up: []string{"+1"}})} {
		if err := f.React(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		r.User += "0"
	}
	if got := messages(t, s); len(got) != 0 {
		t.Errorf("messages %v", got)
	}
	if opinions, err := s.Opinions(t.Context(), time.Time{}); err != nil || len(opinions) != 2 {
		t.Errorf("verdicts %+v, %v", opinions, err)
	}
}

// What was not recorded may come again.
func TestAReactionThatCannotBeStoredIsAnError(t *testing.T) {
	s, _ := answered(t, commentator.DetailOff)
	f := New(Config{Store: s, Up: []string{"+1"}})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.React(ended, commentator.Reaction{Channel: "C1", MessageTS: "2.000000", User: "U2", Name: "+1", EventTS: "3.000000"}); err == nil {
		t.Error("no error")
	}
}
