package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// noteReply notes that a job was answered.
func noteReply(t testing.TB, s *Store, jobID int64, channel, ts string) {
	t.Helper()
	_, err := s.db.Exec(`INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts) VALUES (?, 0, ?, '1.0', 1, 0, ?)`, jobID, channel, ts)
	if err != nil {
		t.Fatal(err)
	}
}

func slackTS(us int64) string { return fmt.Sprintf("%d.%06d", 1_700_000_000+us/1e6, us%1e6) }

func reactionAt(us int64, name string, added bool) commentator.Reaction {
	return commentator.Reaction{Channel: "C1", MessageTS: "5.000001", User: "U1", Name: name, Added: added, EventTS: slackTS(us), ReceivedAt: start}
}

func TestAReactionIsRecordedWithItsMessage(t *testing.T) {
	s := newStore(t)
	j := finish(t, s, begin(t, s, newJob(t, s).ID).Job, commentator.OutcomeSuccess)
	noteReply(t, s, j.ID, "C1", "5.000001")
	before := len(kinds(t, s))
	var said []commentator.Verdict
	judged := func(of commentator.Job, v commentator.Verdict) (telemetry.Message, error) {
		if diff := cmp.Diff(j, of); diff != "" {
			t.Error(diff)
		}
		said = append(said, v)
		return body("feedback", "x"), nil
	}
	for _, one := range []struct {
		r       commentator.Reaction
		value   int
		changed bool
	}{
		{reactionAt(1, "+1", true), 1, true},
		{reactionAt(1, "+1", true), 1, false},           // repeated
		{reactionAt(2, "thumbsup", true), 1, false},     // says the same
		{reactionAt(3, "-1", true), -1, true},           // a change of mind
		{reactionAt(4, "-1", false), -1, true},          // and back: the older one stands again
		{reactionAt(5, "+1", false), 1, false},          // the other one still says it
		{reactionAt(6, "thumbsup", false), 1, true},     // nothing is left
		{reactionAt(5, "thumbsup", true), 1, false},     // older than its removal
		{reactionAt(6, "thumbsup", true), 1, false},     // of the same time: the removal counts
		{reactionAt(10, "thumbsdown", false), 0, false}, // the addition never came
	} {
		changed, err := s.React(t.Context(), one.r, one.value, judged)
		if err != nil || changed != one.changed {
			t.Fatalf("%+v: changed %v, %v", one.r, changed, err)
		}
	}
	at := func(us int64) time.Time { return time.UnixMicro(1_700_000_000_000_000 + us).UTC() }
	want := []commentator.Verdict{
		{JobID: j.ID, User: "U1", Value: 1, At: at(1)},
		{JobID: j.ID, User: "U1", Value: -1, At: at(3)},
		{JobID: j.ID, User: "U1", Value: 1, At: at(4)},
		{JobID: j.ID, User: "U1", Value: 0, At: at(6)},
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if n := len(kinds(t, s)) - before; n != len(want) {
		t.Errorf("%d messages", n)
	}

	elsewhere := reactionAt(11, "+1", true)
	elsewhere.MessageTS = "5.000002"
	_, err := s.React(t.Context(), elsewhere, 1, judged)
	wantErr(t, err, ErrNotFound)
	alter(t, s, `INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts) VALUES (?, ?, 'C1', '1.0', 1, 0, '5.000003')`, j.ID, commentator.PartNotice)
	elsewhere.MessageTS = "5.000003" // that the job failed, which is not the comment
	_, err = s.React(t.Context(), elsewhere, 1, judged)
	wantErr(t, err, ErrNotFound)
	elsewhere = reactionAt(11, "+1", true)
	elsewhere.EventTS = "now"
	if _, err := s.React(t.Context(), elsewhere, 1, judged); commentator.ErrorCode(err) != "invalid_event_time" {
		t.Error(err)
	}
	broken := func(commentator.Job, commentator.Verdict) (telemetry.Message, error) {
		return telemetry.Message{}, fmt.Errorf("no message")
	}
	if changed, err := s.React(t.Context(), reactionAt(12, "+1", true), 1, broken); err != nil || !changed {
		t.Errorf("telemetry that fails: changed %v, %v", changed, err)
	}
	if n := s.Stats().OutboxBuildFailed; n != 1 {
		t.Errorf("%d messages are counted as lost", n)
	}
}

// happened is an event of one person about one reaction. Its time is its own.
type happened struct {
	us    int64
	name  string
	added bool
}

// Whatever order the events come in and however often, the state in the database is that of
// the events in their own order, and the message with the latest time says it.
func TestReactionsInAnyOrderComeToTheSameVerdict(t *testing.T) {
	values := map[string]int{"+1": 1, "thumbsup": 1, "-1": -1, "thumbsdown": -1}
	s := open(t, filepath.Join(t.TempDir(), "db.sqlite"))
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		ts := fmt.Sprintf("6.%06d", n)
		j := ingest(t, s, ts, "https://example.org/")[0]
		noteReply(t, s, j.ID, "C1", ts)

		// What happened: Slack lets a person add only what is not there.
		var events []happened
		there, final := map[string]int64{}, 0
		for us := range int64(rapid.IntRange(1, 8).Draw(rt, "events")) {
			name := rapid.SampledFrom([]string{"+1", "thumbsup", "-1", "thumbsdown"}).Draw(rt, "name")
			_, on := there[name]
			events = append(events, happened{us + 1, name, !on})
			if on {
				delete(there, name)
			} else {
				there[name] = us + 1
			}
		}
		newest := int64(0)
		for name, us := range there {
			if us > newest {
				newest, final = us, values[name]
			}
		}
		// What arrives: each at least once, in any order.
		arriving := rapid.Permutation(append(events, rapid.SliceOfN(rapid.SampledFrom(events), 0, 5).Draw(rt, "again")...)).Draw(rt, "order")
		var last commentator.Verdict
		messages := 0
		for _, e := range arriving {
			r := reactionAt(e.us, e.name, e.added)
			r.MessageTS = ts
			_, err := s.React(context.Background(), r, values[e.name], func(_ commentator.Job, v commentator.Verdict) (telemetry.Message, error) {
				if messages++; messages > 1 && v.At.Equal(last.At) {
					rt.Errorf("two verdicts of one time: %+v and %+v", last, v)
				}
				if v.At.After(last.At) {
					last = v
				}
				return telemetry.Message{}, nil
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
		if last.Value != final {
			rt.Errorf("the latest message says %d, the reactions come to %d", last.Value, final)
		}
		opinions, err := s.Opinions(context.Background(), time.Time{})
		if err != nil {
			rt.Fatal(err)
		}
		stands := 0
		for _, o := range opinions {
			if o.JobID == j.ID {
				stands = o.Value
			}
		}
		if stands != final {
			rt.Errorf("the database says %d, the reactions come to %d", stands, final)
		}
	})
}

func TestOpinionsAreThoseThatStand(t *testing.T) {
	s := newStore(t)
	jobs := ingest(t, s, "7.0", "https://a.test/", "https://b.test/")
	noteReply(t, s, jobs[0].ID, "C1", "7.1")
	noteReply(t, s, jobs[1].ID, "C1", "7.2")
	react := func(user, ts, name string, value int, us int64, added bool) {
		t.Helper()
		r := commentator.Reaction{Channel: "C1", MessageTS: ts, User: user, Name: name, Added: added, EventTS: slackTS(us), ReceivedAt: start}
		none := func(commentator.Job, commentator.Verdict) (telemetry.Message, error) { return telemetry.Message{}, nil }
		if _, err := s.React(t.Context(), r, value, none); err != nil {
			t.Fatal(err)
		}
	}
	react("U2", "7.1", "-1", -1, 10, true)
	react("U1", "7.1", "+1", 1, 20, true)
	react("U1", "7.2", "+1", 1, 30, true)
	react("U1", "7.2", "+1", 1, 40, false)
	react("U3", "7.2", "thumbsup", 1, 50, true)

	list := func(since time.Time) (got []string) {
		opinions, err := s.Opinions(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range opinions {
			got = append(got, fmt.Sprintf("%s %s %+d %s %s", o.User, o.Job.URL, o.Value, o.Reaction, o.ReplyTS))
		}
		return got
	}
	want := []string{"U1 https://a.test/ +1 +1 7.1", "U2 https://a.test/ -1 -1 7.1", "U3 https://b.test/ +1 thumbsup 7.2"}
	if diff := cmp.Diff(want, list(time.Time{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[2:], list(time.UnixMicro(1_700_000_000_000_030))); diff != "" {
		t.Error(diff)
	}
}
