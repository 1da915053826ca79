package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
)

// edited is an edit of a message of C1.
func edited(ts, editTS, before, text string) commentator.Edit {
	return commentator.Edit{
		Channel: "C1", TS: ts, EditTS: editTS, EventID: "Ed" + ts + "/" + editTS, User: "U1",
		Before: before, Text: text, ReceivedAt: start.Add(time.Minute),
	}
}

func gone(ts, at string) commentator.Edit {
	e := edited(ts, at, "", "")
	e.Deleted = true
	return e
}

func change(t *testing.T, s *Store, e commentator.Edit, r Rules) Received {
	t.Helper()
	got, err := s.Change(t.Context(), e, said(e.TS, e.Text), r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// reply writes a reply of a job as a post that Slack took.
func reply(t *testing.T, s *Store, jobID int64) {
	t.Helper()
	_, err := s.db.ExecContext(t.Context(), `
		INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts, posted_at)
		VALUES (?, 0, 'C1', '1.1', 1, 1, ?, 2)`, jobID, fmt.Sprintf("9.%d", jobID))
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s *Store, query string, args ...any) int {
	t.Helper()
	var n int
	if err := s.reader.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnEditThatAddsALinkMakesAJob(t *testing.T) {
	s := newStore(t)
	receive(t, s, said("1.1", "a"), testRules())
	got := change(t, s, edited("1.1", "2.0", "a", "a?x b"), testRules())
	if diff := cmp.Diff([]string{"b"}, urls(got.Jobs)); diff != "" || len(got.Withdrawn) != 0 {
		t.Errorf("withdrawn %v, jobs %s", got.Withdrawn, diff)
	}
	m, err := s.MessageByTS(t.Context(), "C1", "1.1")
	if err != nil || m.Text != "a?x b" {
		t.Errorf("message %+v, %v", m, err)
	}
}

func TestAnEditThatRemovesALinkTakesItsJobBack(t *testing.T) {
	s := newStore(t)
	jobs := receive(t, s, said("1.1", "waits runs posted"), testRules()).Jobs
	running := begin(t, s, jobs[1].ID).Job
	posted := finish(t, s, begin(t, s, jobs[2].ID).Job, commentator.OutcomeSuccess)
	reply(t, s, posted.ID)

	got := change(t, s, edited("1.1", "2.0", "", "other"), testRules())
	if diff := cmp.Diff([]int64{jobs[0].ID, jobs[1].ID, jobs[2].ID}, got.Withdrawn); diff != "" {
		t.Error(diff)
	}
	if n := count(t, s, `SELECT count(*) FROM jobs WHERE withdrawn_at IS NOT NULL`); n != 3 {
		t.Errorf("%d jobs are withdrawn", n)
	}
	waited, err := s.Job(t.Context(), jobs[0].ID)
	if err != nil || waited.Outcome != commentator.OutcomeCancelled || waited.ErrorType != CodeWithdrawn || waited.StartedAt.IsZero() {
		t.Errorf("the job that waited is %+v, %v", waited, err)
	}
	if n := count(t, s, `SELECT count(*) FROM outbox WHERE job_id = ? AND kind = 'process jobs'`, waited.ID); n != 1 {
		t.Errorf("its end is recorded %d times", n)
	}
	if j, err := s.Job(t.Context(), running.ID); err != nil || j.State != commentator.JobRunning || j.Attempt != 1 {
		t.Errorf("the job that runs is %+v, %v", j, err)
	}
	if j, err := s.Job(t.Context(), posted.ID); err != nil || j.Outcome != commentator.OutcomeSuccess {
		t.Errorf("the job that is final is %+v, %v", j, err)
	}
	if n := count(t, s, `SELECT count(*) FROM posts WHERE retract_at IS NOT NULL AND retracted_at IS NULL`); n != 1 {
		t.Errorf("%d replies are to be deleted", n)
	}
}

func TestEachJobThatIsTakenBackHasItsOwnDecision(t *testing.T) {
	for name, e := range map[string]commentator.Edit{"deleted": gone("1.1", "2.0"), "edited": edited("1.1", "2.0", "a b", "c")} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			r := testRules()
			r.Decide = func(j commentator.Job, m commentator.Message) commentator.Decision {
				d := full(j, m)
				d.Rule = j.URL
				return d
			}
			jobs := receive(t, s, said("1.1", "a b"), r).Jobs
			change(t, s, e, r)
			for _, j := range jobs {
				if d, err := s.Decision(t.Context(), j.ID); err != nil || d.Rule != j.URL {
					t.Errorf("job of %s: %+v, %v", j.URL, d, err)
				}
			}
		})
	}
}

func TestALinkThatComesBackIsCommentedOnAgain(t *testing.T) {
	s := newStore(t)
	receive(t, s, said("1.1", "a"), testRules())
	change(t, s, edited("1.1", "2.0", "a", "nothing"), testRules())
	got := change(t, s, edited("1.1", "3.0", "nothing", "a"), testRules())
	if diff := cmp.Diff([]string{"a"}, urls(got.Jobs)); diff != "" || len(got.Cooled) != 0 {
		t.Errorf("cooled %v, jobs %s", got.Cooled, diff)
	}
}

func TestALinkThatStaysKeepsItsJobWhateverTheLimit(t *testing.T) {
	s := newStore(t)
	r := testRules()
	r.Limit = 1
	receive(t, s, said("1.1", "a"), r)
	if got := change(t, s, edited("1.1", "2.0", "a", "b a"), r); len(got.Withdrawn) != 0 || len(got.Jobs) != 0 {
		t.Errorf("a link before it: %+v", got)
	}
	got := change(t, s, edited("1.1", "3.0", "b a", "b"), r)
	if diff := cmp.Diff([]string{"b"}, urls(got.Jobs)); len(got.Withdrawn) != 1 || diff != "" {
		t.Errorf("when it goes the next one has its place: withdrawn %v, jobs %s", got.Withdrawn, diff)
	}
}

func TestALinkThatCooledDownStaysSo(t *testing.T) {
	s := newStore(t)
	receive(t, s, said("1.1", "a"), testRules())
	receive(t, s, said("2.1", "a"), testRules())
	e := edited("2.1", "3.0", "a", "a b")
	e.ReceivedAt = start.Add(48 * time.Hour)
	got := change(t, s, e, testRules())
	if diff := cmp.Diff([]string{"b"}, urls(got.Jobs)); diff != "" {
		t.Errorf("an edit around it makes jobs %s", diff)
	}
}

func TestADeletedMessageIsForgottenAndItsJobsTakenBack(t *testing.T) {
	s := newStore(t)
	j := receive(t, s, said("1.1", "a"), testRules()).Jobs[0]
	if got := change(t, s, gone("1.1", "2.0"), testRules()); !slices.Equal(got.Withdrawn, []int64{j.ID}) {
		t.Errorf("deletion: %+v", got)
	}
	m, err := s.MessageByTS(t.Context(), "C1", "1.1")
	if err != nil || m.Text != "" || count(t, s, `SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL`) != 1 {
		t.Errorf("message %+v, %v", m, err)
	}
	for name, e := range map[string]commentator.Edit{
		"deleted again": gone("1.1", "3.0"), "edited after it": edited("1.1", "4.0", "", "b"),
	} {
		if got := change(t, s, e, testRules()); !got.Known {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnOlderOrRepeatedEditChangesNothing(t *testing.T) {
	s := newStore(t)
	receive(t, s, said("1.1", "a"), testRules())
	change(t, s, edited("1.1", "3.0", "a", "b"), testRules())
	repeated := edited("1.1", "3.0", "a", "b")
	sameTime := repeated
	sameTime.EventID = "EdOther"
	for name, e := range map[string]commentator.Edit{"older": edited("1.1", "2.0", "a", "c"), "repeated": repeated, "same time": sameTime} {
		if got := change(t, s, e, testRules()); !got.Known || len(got.Jobs)+len(got.Withdrawn) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnEditOfAMessageFromBeforeOurTimeCountsOnlyWhatItAdds(t *testing.T) {
	s := newStore(t)
	if err := s.StartChannel(t.Context(), "C1", "5.0", start); err != nil {
		t.Fatal(err)
	}
	if got := change(t, s, edited("1.1", "6.0", "a", "a words"), Rules{
		Links: func(text string) []Link { return words(strings.ReplaceAll(text, " words", "")) }, Limit: 3, Enqueue: noQueue,
	}); len(got.Jobs) != 0 || count(t, s, `SELECT count(*) FROM messages`) != 0 {
		t.Errorf("a corrected word: %+v", got)
	}
	got := change(t, s, edited("1.1", "7.0", "a", "a b"), testRules())
	if diff := cmp.Diff([]string{"b"}, urls(got.Jobs)); diff != "" {
		t.Errorf("an added link: %s", diff)
	}
	got = change(t, s, edited("8.1", "9.0", "c", "c d"), testRules())
	if diff := cmp.Diff([]string{"c", "d"}, urls(got.Jobs)); diff != "" {
		t.Errorf("a message of our time that is late: %s", diff)
	}
}

func TestEventsAreForgottenAfterTwoDays(t *testing.T) {
	s := newStore(t)
	receive(t, s, said("1.1", "a"), testRules())
	change(t, s, edited("1.1", "2.0", "a", "b"), testRules())
	late := edited("1.1", "3.0", "b", "c")
	late.ReceivedAt = start.Add(49 * time.Hour)
	change(t, s, late, testRules())
	if n := count(t, s, `SELECT count(*) FROM events`); n != 1 {
		t.Errorf("%d events are remembered, want the last", n)
	}
}

// state is what is written of a message whatever the order was in which it came.
type state struct {
	Text, EditedTS, User string
	Deleted              bool
	Live                 []string // links whose jobs were not taken back
}

func messageState(t rapid.TB, s *Store, ts string) (st state) {
	var id int64
	row := s.reader.QueryRowContext(context.Background(), `SELECT id, text, edited_ts, user_id, deleted_at IS NOT NULL FROM messages WHERE channel_id = 'C1' AND message_ts = ?`, ts)
	if err := row.Scan(&id, &st.Text, &st.EditedTS, &st.User, &st.Deleted); err != nil {
		t.Fatal(err)
	}
	for _, url := range column[string](t, s, `SELECT url FROM jobs WHERE message_id = ? AND withdrawn_at IS NULL ORDER BY url`, id) {
		st.Live = append(st.Live, strings.TrimPrefix(url, "https://x.test/"))
	}
	return st
}

// Whatever Slack repeats and in which order it comes, the end is that of the newest text: one
// job for each of its links, none for any other.
func TestDeliveriesInAnyOrderAndNumberLeadToTheSameRows(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		ts := fmt.Sprintf("17%08d.000100", n)
		text := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 3, rapid.ID[string])
		texts := rapid.SliceOfN(text, 1, 5).Draw(t, "texts")
		deleted := rapid.Bool().Draw(t, "deleted")

		// Links of other messages would cool down.
		r := testRules()
		r.Cooldown = 0
		var deliveries []func() error
		before := ""
		for i, links := range texts {
			said := commentator.Message{Channel: "C1", TS: ts, User: "U1", Text: strings.Join(links, " "), ReceivedAt: start}
			if i == 0 {
				deliveries = append(deliveries, func() error { _, err := s.Receive(ctx, said, r); return err })
			} else {
				e := edited(ts, fmt.Sprintf("18%08d.%06d", n, i), before, said.Text)
				deliveries = append(deliveries, func() error { _, err := s.Change(ctx, e, said, r); return err })
			}
			before = said.Text
		}
		want := state{Text: before, User: "U1", Live: slices.Sorted(slices.Values(texts[len(texts)-1]))}
		if len(texts) > 1 {
			want.EditedTS = fmt.Sprintf("18%08d.%06d", n, len(texts)-1)
		}
		if deleted {
			e := gone(ts, fmt.Sprintf("19%08d.000000", n))
			last := commentator.Message{Channel: "C1", TS: ts, User: "U1", Text: before, ReceivedAt: start}
			deliveries = append(deliveries, func() error { _, err := s.Change(ctx, e, last, r); return err })
			want = state{EditedTS: e.EditTS, User: "U1", Deleted: true}
		}

		order := rapid.Permutation(indexes(len(deliveries))).Draw(t, "order")
		repeated := rapid.SliceOfN(rapid.SampledFrom(order), 0, 6).Draw(t, "repeated")
		for _, i := range slices.Concat(order, repeated) {
			if err := deliveries[i](); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, messageState(t, s, ts)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		var twice int
		err := s.reader.QueryRowContext(ctx, `
			SELECT count(*) FROM jobs WHERE withdrawn_at IS NOT NULL AND state <> 'final'`).Scan(&twice)
		if err != nil || twice != 0 {
			t.Fatalf("%d jobs that wait are withdrawn and not final, %v", twice, err)
		}
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
