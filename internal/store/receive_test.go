package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// words makes a link of each word of a text: its page is what precedes a question mark.
func words(text string) []Link {
	var links []Link
	for _, word := range strings.Fields(text) {
		key, _, _ := strings.Cut(word, "?")
		links = append(links, Link{URL: "https://x.test/" + word, Key: key})
	}
	return links
}

func testRules() Rules {
	return Rules{
		Links: words, Limit: 3, Cooldown: 24 * time.Hour, Enqueue: noQueue,
		Decide: full, Started: startedMessage, Ended: endedMessage,
	}
}

// said is a message of C1 that came at start.
func said(ts, text string) commentator.Message {
	return commentator.Message{Channel: "C1", TS: ts, User: "U1", Text: text, EventID: "Ev" + ts, ReceivedAt: start}
}

func receive(t *testing.T, s *Store, m commentator.Message, r Rules) Received {
	t.Helper()
	got, err := s.Receive(t.Context(), m, r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func urls(jobs []commentator.Job) []string {
	out := []string{}
	for _, j := range jobs {
		out = append(out, strings.TrimPrefix(j.URL, "https://x.test/"))
	}
	return out
}

func TestReceiveMakesJobsUpToTheLimit(t *testing.T) {
	s := newStore(t)
	enqueued := 0
	r := testRules()
	r.Enqueue = func(context.Context, *sql.Tx, int64) error { enqueued++; return nil }
	got := receive(t, s, said("1.1", "a b c d e"), r)
	if diff := cmp.Diff([]string{"a", "b", "c"}, urls(got.Jobs)); diff != "" || got.OverLimit != 2 || enqueued != 3 {
		t.Errorf("%d over the limit, %d enqueued, jobs (-want +got):\n%s", got.OverLimit, enqueued, diff)
	}
	again := receive(t, s, said("1.1", "f"), r)
	if !again.Known || len(again.Jobs) != 0 || enqueued != 3 {
		t.Errorf("a repeated delivery made %+v", again)
	}
}

func TestReceiveLeavesNothingWhenTheQueueRefuses(t *testing.T) {
	s := newStore(t)
	r := testRules()
	full := errors.New("queue full")
	r.Enqueue = func(context.Context, *sql.Tx, int64) error { return full }
	_, err := s.Receive(t.Context(), said("1.1", "a"), r)
	wantErr(t, err, full)
	_, err = s.MessageByTS(t.Context(), "C1", "1.1")
	wantErr(t, err, ErrNotFound)
}

func TestAPageCoolsDownInItsChannel(t *testing.T) {
	s := newStore(t)
	r := testRules()
	first := receive(t, s, said("1.1", "a"), r).Jobs[0]
	later := func(ts, channel, text string, after time.Duration) Received {
		m := said(ts, text)
		m.Channel, m.ReceivedAt = channel, start.Add(after)
		return receive(t, s, m, r)
	}
	if got := later("2.1", "C1", "a?utm_source=x b", time.Hour); len(got.Cooled) != 1 || len(got.Jobs) != 1 {
		t.Errorf("an hour later: %+v", got)
	}
	if got := later("3.1", "C2", "a", time.Hour); len(got.Jobs) != 1 {
		t.Errorf("in another channel: %+v", got)
	}
	if got := later("4.1", "C1", "a", 24*time.Hour+time.Minute); len(got.Jobs) != 1 {
		t.Errorf("a day later: %+v", got)
	}
	r.Cooldown = 0
	if got := later("6.1", "C1", "a", time.Hour); len(got.Jobs) != 1 {
		t.Errorf("without a cool-down: %+v", got)
	}
	if j, err := s.Job(t.Context(), first.ID); err != nil || j.State != commentator.JobPending {
		t.Errorf("the first job is %+v, %v", j, err)
	}
}

func TestAPageThatFailedDoesNotCoolDown(t *testing.T) {
	for outcome, cooled := range map[commentator.Outcome]bool{
		commentator.OutcomeSuccess: true, commentator.OutcomeError: false, commentator.OutcomeGateFailed: false, commentator.OutcomeCancelled: false,
	} {
		s := newStore(t)
		j := receive(t, s, said("1.1", "a"), testRules()).Jobs[0]
		finish(t, s, begin(t, s, j.ID).Job, outcome)
		if got := receive(t, s, said("2.1", "a"), testRules()); (len(got.Cooled) == 1) != cooled {
			t.Errorf("after %s: %+v", outcome, got)
		}
	}
}

// repeat repeats a job of which Slack has refused the comment.
var repeat = Repeat{NotTaken: func(errorType string) bool { return errorType == "slack_refused" }, Enqueue: noQueue}

func TestRetryMakesANewJobOfAFinalOne(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	first := receive(t, s, said("1.1", "a"), testRules()).Jobs[0]
	_, err := s.Retry(ctx, first.ID, start, repeat)
	wantErr(t, err, ErrOpen)
	finish(t, s, begin(t, s, first.ID).Job, commentator.OutcomeError)
	enqueued := int64(0)
	r := repeat
	r.Enqueue = func(_ context.Context, _ *sql.Tx, id int64) error { enqueued = id; return nil }
	again, err := s.Retry(ctx, first.ID, start.Add(time.Hour), r)
	if err != nil || again.RetryOf != first.ID || again.URL != first.URL || again.State != commentator.JobPending || enqueued != again.ID {
		t.Errorf("retry is %+v, enqueued %d, %v", again, enqueued, err)
	}
	_, err = s.Retry(ctx, first.ID, start, repeat)
	wantErr(t, err, ErrOpen)
	if got := receive(t, s, said("2.1", "a"), testRules()); len(got.Cooled) != 1 {
		t.Errorf("the retry's page is not known: %+v", got)
	}
	_, err = s.Retry(ctx, 99, start, repeat)
	wantErr(t, err, ErrNotFound)
	change(t, s, gone("1.1", "9.0"), testRules())
	_, err = s.Retry(ctx, first.ID, start, repeat)
	wantErr(t, err, ErrWithdrawn)
}

// A link that has a comment, or may have one, is commented on a second time on purpose only.
func TestRetryOfALinkThatMayHaveAComment(t *testing.T) {
	asked := func(t *testing.T, s *Store, j commentator.Job) {
		t.Helper()
		if _, err := s.AskToPost(t.Context(), j, 0, "C1", "1.1", start); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(t *testing.T, s *Store, j commentator.Job, errorType string) {
		t.Helper()
		asked(t, s, j)
		rec := record(commentator.StageSlackPost)
		rec.ErrorType = errorType
		if err := s.CommitStage(t.Context(), j, rec, telemetry.Message{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		happens func(t *testing.T, s *Store, j commentator.Job) // in the attempt that fails
		refused bool
	}{
		"nothing was asked for":    {func(*testing.T, *Store, commentator.Job) {}, false},
		"killed while it asked":    {asked, true},
		"the answer was lost":      {func(t *testing.T, s *Store, j commentator.Job) { answered(t, s, j, "slack_answer_lost") }, true},
		"Slack refused":            {func(t *testing.T, s *Store, j commentator.Job) { answered(t, s, j, "slack_refused") }, false},
		"a part of it is in Slack": {func(t *testing.T, s *Store, j commentator.Job) { reply(t, s, j.ID) }, true},
		"it is to be deleted": {func(t *testing.T, s *Store, j commentator.Job) {
			reply(t, s, j.ID)
			alter(t, s, `UPDATE posts SET retract_at = 3`)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			j := begin(t, s, receive(t, s, said("1.1", "a"), testRules()).Jobs[0].ID).Job
			tt.happens(t, s, j)
			finish(t, s, j, commentator.OutcomeError)
			_, err := s.Retry(t.Context(), j.ID, start, repeat)
			if errors.Is(err, ErrCommented) != tt.refused || (err != nil) != tt.refused {
				t.Errorf("Retry() = %v", err)
			}
			if !tt.refused {
				return
			}
			r := repeat
			r.Again = true
			if again, err := s.Retry(t.Context(), j.ID, start, r); err != nil || again.RetryOf != j.ID {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// repeated gives a job that failed, and the one that repeats it.
func repeated(t *testing.T, s *Store) (first, second commentator.Job) {
	t.Helper()
	first = receive(t, s, said("1.1", "a"), testRules()).Jobs[0]
	finish(t, s, begin(t, s, first.ID).Job, commentator.OutcomeError)
	second, err := s.Retry(t.Context(), first.ID, start, repeat)
	if err != nil {
		t.Fatal(err)
	}
	return first, second
}

func TestRetryOfAJobWhoseRetrySucceeded(t *testing.T) {
	s := newStore(t)
	first, second := repeated(t, s)
	finish(t, s, begin(t, s, second.ID).Job, commentator.OutcomeSuccess)
	_, err := s.Retry(t.Context(), first.ID, start, repeat)
	wantErr(t, err, ErrCommented)
}

// A job that succeeded has its comment in Slack, unless it says that it went elsewhere.
func TestRetryOfALinkWhoseCommentIsNotInSlack(t *testing.T) {
	for name, tt := range map[string]struct {
		result  string // of the last stage; empty: there is none, as of a job that was imported
		asked   bool   // for a part of the comment
		refused bool
	}{
		"printed":                    {result: `{"delivery":"print","channel":"C1"}`},
		"kept":                       {result: `{"delivery":"store","channel":"C1"}`},
		"kept, and asked for before": {result: `{"delivery":"store","channel":"C1"}`, asked: true, refused: true},
		"posted":                     {result: `{"delivery":"slack","channel":"C1"}`, asked: true, refused: true},
		"posted by another program":  {refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			first, second := repeated(t, s)
			j := begin(t, s, second.ID).Job
			if tt.asked {
				if _, err := s.AskToPost(t.Context(), j, 0, "C1", "1.1", start); err != nil {
					t.Fatal(err)
				}
			}
			if tt.result != "" {
				rec := record(commentator.StageSlackPost)
				rec.Result = json.RawMessage(tt.result)
				if err := s.CommitStage(t.Context(), j, rec, telemetry.Message{}, nil); err != nil {
					t.Fatal(err)
				}
			}
			finish(t, s, j, commentator.OutcomeSuccess)
			_, err := s.Retry(t.Context(), first.ID, start, repeat)
			if errors.Is(err, ErrCommented) != tt.refused || (err != nil) != tt.refused {
				t.Errorf("Retry() = %v", err)
			}
		})
	}
}

func TestTheCursorOfAChannelNeverGoesBack(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	want := func(ts string) {
		t.Helper()
		if got, err := s.Seen(ctx, "C1"); err != nil || got != ts {
			t.Errorf("seen %q, %v, want %q", got, err, ts)
		}
	}
	want("")
	for _, step := range []struct {
		set  func(context.Context, string, string, time.Time) error
		ts   string
		want string
	}{
		{s.StartChannel, "1700000000.000100", "1700000000.000100"},
		{s.StartChannel, "1700000009.000100", "1700000000.000100"},
		{s.SetSeen, "1700000005.000100", "1700000005.000100"},
		{s.SetSeen, "1700000004.999999", "1700000005.000100"},
	} {
		if err := step.set(ctx, "C1", step.ts, start); err != nil {
			t.Fatal(err)
		}
		want(step.want)
	}
	if err := s.SetSeen(ctx, "C2", "1700000000.000100", start); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Channels(ctx); err != nil || !cmp.Equal(got, []string{"C1", "C2"}) {
		t.Errorf("channels %v, %v", got, err)
	}
}

func TestSlacksTimesAreOrdered(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"1700000000.000200", "1700000000.000100", true},
		{"1700000000.000100", "1700000000.000100", false},
		{"1700000000.000100", "", true},
		{"", "1700000000.000100", false},
		{"10000000000.000000", "9999999999.999999", true},
	} {
		if got := laterTS(tt.a, tt.b); got != tt.want {
			t.Errorf("%q after %q: %v", tt.a, tt.b, got)
		}
	}
}
