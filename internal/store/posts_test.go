package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/test/dbtest"
)

func ask(t *testing.T, s *Store, j commentator.Job, part int, at time.Time) commentator.Reply {
	t.Helper()
	r, err := s.AskToPost(t.Context(), j, part, "C1", "1.0", at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func posted(t *testing.T, s *Store, job int64, part int, ts string) string {
	t.Helper()
	noted, err := s.Posted(t.Context(), job, part, ts, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return noted
}

// withdraw is what an edit or a deletion does to a job and its replies.
func withdraw(t *testing.T, s *Store, job int64) {
	t.Helper()
	err := s.write(t.Context(), func(tx *writeTx) error {
		if _, err := tx.ExecContext(t.Context(), `UPDATE jobs SET withdrawn_at = ? WHERE id = ?`, micros(start), job); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), `UPDATE posts SET retract_at = ? WHERE job_id = ?`, micros(start), job)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func retractions(t *testing.T, s *Store) (parts []int) {
	t.Helper()
	due, err := s.RetractionsDue(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range due {
		parts = append(parts, r.Part)
	}
	return parts
}

func TestAReplyIsAskedForBeforeItIsPosted(t *testing.T) {
	s := newStore(t)
	at := start.Truncate(time.Microsecond)
	j := begin(t, s, newJob(t, s).ID).Job
	want := commentator.Reply{JobID: j.ID, Part: 0, Channel: "C1", ThreadTS: "1.0", Attempt: 1, AskedAt: at}
	if diff := cmp.Diff(want, ask(t, s, j, 0, start)); diff != "" {
		t.Error(diff)
	}
	second := begin(t, s, j.ID).Job
	want.Attempt, want.AskedAt = 2, at.Add(time.Hour)
	if diff := cmp.Diff(want, ask(t, s, second, 0, start.Add(time.Hour))); diff != "" {
		t.Error("the later question counts:", diff)
	}
	ask(t, s, second, 1, start)
	if noted := posted(t, s, j.ID, 0, "9.1"); noted != "9.1" {
		t.Errorf("noted %q", noted)
	}
	// A second message of the same part is told which one counts, and nobody asks any more.
	if noted := posted(t, s, j.ID, 0, "9.2"); noted != "9.1" {
		t.Errorf("noted %q", noted)
	}
	want.ReplyTS, want.PostedAt = "9.1", at.Add(time.Minute)
	if diff := cmp.Diff(want, ask(t, s, second, 0, start.Add(2*time.Hour))); diff != "" {
		t.Error(diff)
	}
	replies, err := s.Replies(t.Context(), j.ID)
	if err != nil || len(replies) != 2 || !cmp.Equal(replies[0], want) || replies[1].ReplyTS != "" {
		t.Errorf("replies %+v, %v", replies, err)
	}
}

func TestOnlyTheOwnerOfAJobMayAskToPost(t *testing.T) {
	s := newStore(t)
	old := begin(t, s, newJob(t, s).ID).Job
	current := begin(t, s, old.ID).Job
	_, err := s.AskToPost(t.Context(), old, 0, "C1", "1.0", start)
	wantErr(t, err, ErrFenced)
	ask(t, s, current, 0, start)
	// What Slack has taken is noted whoever says it.
	posted(t, s, old.ID, 0, "9.1")
	finish(t, s, current, commentator.OutcomeSuccess)
	_, err = s.AskToPost(t.Context(), current, 1, "C1", "1.0", start)
	wantErr(t, err, ErrFinal)
	if replies, _ := s.Replies(t.Context(), old.ID); len(replies) != 1 || replies[0].ReplyTS != "9.1" {
		t.Errorf("replies %+v", replies)
	}
}

func TestNothingIsPostedForALinkThatWasTakenBack(t *testing.T) {
	s := newStore(t)
	j := begin(t, s, newJob(t, s).ID).Job
	withdraw(t, s, j.ID)
	_, err := s.AskToPost(t.Context(), j, 0, "C1", "1.0", start)
	wantErr(t, err, commentator.ErrWithdrawn)
	if replies, _ := s.Replies(t.Context(), j.ID); len(replies) != 0 {
		t.Errorf("replies %+v", replies)
	}
}

func TestRepliesOfALinkThatWasTakenBackAreDue(t *testing.T) {
	s := newStore(t)
	j := begin(t, s, newJob(t, s).ID).Job
	ask(t, s, j, 0, start)
	posted(t, s, j.ID, 0, "9.1")
	ask(t, s, j, 1, start)
	if due := retractions(t, s); len(due) != 0 {
		t.Errorf("due before anybody took anything back: %v", due)
	}
	withdraw(t, s, j.ID)
	// Part 1 may be on its way to Slack: it is looked for when it is noted, or the job has ended.
	if diff := cmp.Diff([]int{0}, retractions(t, s)); diff != "" {
		t.Error(diff)
	}
	if err := s.Retracted(t.Context(), j.ID, 0, start); err != nil {
		t.Fatal(err)
	}
	finish(t, s, j, commentator.OutcomeCancelled)
	if diff := cmp.Diff([]int{1}, retractions(t, s)); diff != "" {
		t.Error(diff)
	}
	if err := s.Retracted(t.Context(), j.ID, 1, start); err != nil {
		t.Fatal(err)
	}
	if due := retractions(t, s); len(due) != 0 {
		t.Errorf("due though retracted: %v", due)
	}
}

// A job names its message, and what of it was taken back as far as that has happened.
func TestTheOriginOfAJob(t *testing.T) {
	s := newStore(t)
	m := said("1.1", "a")
	m.ThreadTS = "1.0"
	j := begin(t, s, receive(t, s, m, testRules()).Jobs[0].ID).Job
	origin := func() Origin {
		t.Helper()
		o, err := s.Origin(t.Context(), j.ID)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	want := Origin{Channel: "C1", TS: "1.1", ThreadTS: "1.0"}
	if diff := cmp.Diff(want, origin()); diff != "" {
		t.Error(diff)
	}
	ask(t, s, j, 0, start)
	ask(t, s, j, 1, start)
	if diff := cmp.Diff(want, origin()); diff != "" {
		t.Errorf("asked for: %s", diff)
	}
	posted(t, s, j.ID, 1, "9.2")
	posted(t, s, j.ID, 0, "9.1")
	want.ReplyTS = "9.1"
	if diff := cmp.Diff(want, origin()); diff != "" {
		t.Errorf("posted: %s", diff)
	}
	gone := commentator.Edit{Channel: "C1", TS: "1.1", EditTS: "2.1", Deleted: true, ReceivedAt: start.Add(time.Hour)}
	if _, err := s.Change(t.Context(), gone, m, testRules()); err != nil {
		t.Fatal(err)
	}
	for part, ts := range []time.Duration{2 * time.Hour, 3 * time.Hour} {
		if err := s.Retracted(t.Context(), j.ID, part, start.Add(ts)); err != nil {
			t.Fatal(err)
		}
		want.DeletedAt, want.WithdrawnAt = gone.ReceivedAt.Truncate(time.Microsecond), gone.ReceivedAt.Truncate(time.Microsecond)
		if part == 1 { // the last one
			want.ReplyTakenBackAt = start.Add(ts).Truncate(time.Microsecond)
		}
		if diff := cmp.Diff(want, origin()); diff != "" {
			t.Errorf("part %d is deleted: %s", part, diff)
		}
	}
	_, err := s.Origin(t.Context(), j.ID+1)
	wantErr(t, err, ErrNotFound)
}

// The link is taken back between Slack's answer and its note, by a process that sees no reply.
func TestAReplyThatCameTooLateIsDue(t *testing.T) {
	s := newStore(t)
	j := begin(t, s, newJob(t, s).ID).Job
	ask(t, s, j, 0, start)
	exec(t, s, `UPDATE jobs SET withdrawn_at = 7`)
	posted(t, s, j.ID, 0, "9.1")
	if diff := cmp.Diff([]int{0}, retractions(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestANoticeIsDueFromTheEndOfTheJob(t *testing.T) {
	s := newStore(t)
	end := func(j commentator.Job, notice bool) {
		t.Helper()
		_, err := s.Finish(t.Context(), j, Ending{Outcome: commentator.OutcomeError, ErrorType: "http_404", At: start, Notice: notice}, endedMessage, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	quiet, loud := begin(t, s, newJob(t, s).ID).Job, begin(t, s, newJob(t, s).ID).Job
	end(quiet, false)
	end(loud, true)
	if ids, err := s.NoticesDue(t.Context()); err != nil || !cmp.Equal(ids, []int64{loud.ID}) {
		t.Errorf("due %v, %v", ids, err)
	}
	n, open, err := s.Notice(t.Context(), loud.ID)
	if err != nil || !open || n.Part != commentator.PartNotice || n.Attempt != 0 || n.Channel != "C1" || n.ThreadTS != "1.0" ||
		n.Job.ErrorType != "http_404" || n.Job.Outcome != commentator.OutcomeError || n.Message.TS == "" {
		t.Errorf("notice %+v, %v, %v", n, open, err)
	}
	if _, open, err := s.Notice(t.Context(), quiet.ID); open || err != nil {
		t.Errorf("a job without a notice has one: %v", err)
	}
	// Of two that read it one may ask.
	if err := s.AskToNotify(t.Context(), n.Reply, start); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.AskToNotify(t.Context(), n.Reply, start), ErrFenced)
	if n, open, _ = s.Notice(t.Context(), loud.ID); !open || n.Attempt != 1 {
		t.Errorf("notice %+v", n)
	}
	posted(t, s, loud.ID, commentator.PartNotice, "") // a reaction
	if _, open, err := s.Notice(t.Context(), loud.ID); open || err != nil {
		t.Errorf("still open: %v", err)
	}
	if ids, _ := s.NoticesDue(t.Context()); len(ids) != 0 {
		t.Errorf("due %v", ids)
	}
	wantErr(t, s.AskToNotify(t.Context(), n.Reply, start), ErrFenced)
}

// A crash in the transaction that ends the job leaves neither the end nor the notice.
func TestTheNoticeIsNotedWithTheEnd(t *testing.T) {
	s := newStore(t)
	j := begin(t, s, newJob(t, s).ID).Job
	if dbtest.Postgres() {
		exec(t, s, `ALTER TABLE posts ADD CONSTRAINT broken CHECK (job_id < 0)`)
	} else {
		exec(t, s, `CREATE TRIGGER broken BEFORE INSERT ON posts BEGIN SELECT raise(ABORT, 'broken'); END`)
	}
	_, err := s.Finish(t.Context(), j, Ending{Outcome: commentator.OutcomeError, At: start, Notice: true}, endedMessage, nil)
	if now, _ := s.Job(t.Context(), j.ID); err == nil || now.State == commentator.JobFinal {
		t.Errorf("job %+v, %v", now, err)
	}
}

func TestNobodyIsToldOfALinkThatWasTakenBack(t *testing.T) {
	s := newStore(t)
	j := begin(t, s, newJob(t, s).ID).Job
	if _, err := s.Finish(t.Context(), j, Ending{Outcome: commentator.OutcomeGateFailed, At: start, Notice: true}, endedMessage, nil); err != nil {
		t.Fatal(err)
	}
	n, _, err := s.Notice(t.Context(), j.ID)
	if err != nil {
		t.Fatal(err)
	}
	withdraw(t, s, j.ID)
	if ids, _ := s.NoticesDue(t.Context()); len(ids) != 0 {
		t.Errorf("due %v", ids)
	}
	wantErr(t, s.AskToNotify(t.Context(), n.Reply, start), ErrFenced)
}

// A link may be taken back while its job runs, which then ends before it asks to post.
func TestNobodyIsToldOfALinkThatWasTakenBackBeforeTheEnd(t *testing.T) {
	for _, outcome := range []commentator.Outcome{commentator.OutcomeGateFailed, commentator.OutcomeError} {
		s := newStore(t)
		j := begin(t, s, newJob(t, s).ID).Job
		withdraw(t, s, j.ID)
		j, err := s.Finish(t.Context(), j, Ending{Outcome: outcome, At: start, Notice: true}, endedMessage, nil)
		if err != nil || j.Outcome != outcome {
			t.Fatalf("job %+v, %v", j, err)
		}
		if ids, err := s.NoticesDue(t.Context()); err != nil || len(ids) != 0 {
			t.Errorf("%s: due %v, %v", outcome, ids, err)
		}
	}
}

// Looking for what is to be deleted, every few seconds, reads no row that is not.
func TestRetractionsAreFoundByAnIndex(t *testing.T) {
	s := newStore(t)
	plan := planOf(t, s, `SELECT id FROM posts WHERE retract_at IS NOT NULL AND retracted_at IS NULL ORDER BY retract_at, id LIMIT 5`)
	if !strings.Contains(plan, "posts_retract") {
		t.Error(plan)
	}
}
