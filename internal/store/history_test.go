package store

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

const day = 24 * time.Hour

// pastJob is a job that was done some time ago, with a stage, a reply, a reaction, and
// telemetry that was sent.
func pastJob(t *testing.T, s *Store, ts string, ago time.Duration) commentator.Job {
	t.Helper()
	at := start.Add(-ago)
	j := openJob(t, s, ts, at)
	by := func(commentator.Job, commentator.Message) commentator.Decision {
		return commentator.Decision{Detail: commentator.DetailFull, By: "rule 7"}
	}
	a, err := s.BeginAttempt(t.Context(), j.ID, at, by, startedMessage)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, a.Job, commentator.StageRetrieval)
	if j, err = s.Finish(t.Context(), a.Job, Ending{Outcome: commentator.OutcomeSuccess, At: at}, endedMessage, nil); err != nil {
		t.Fatal(err)
	}
	noteReply(t, s, j.ID, "C1", ts+"1")
	none := func(commentator.Job, commentator.Verdict) (telemetry.Message, error) { return telemetry.Message{}, nil }
	r := commentator.Reaction{Channel: "C1", MessageTS: ts + "1", User: "U1", Name: "+1", Added: true, EventTS: slackTS(1)}
	if _, err := s.React(t.Context(), r, 1, none); err != nil {
		t.Fatal(err)
	}
	send(t, s)
	return j
}

func openJob(t *testing.T, s *Store, ts string, at time.Time) commentator.Job {
	t.Helper()
	m := testMessage(ts)
	m.ReceivedAt = at
	jobs, known, err := s.Ingest(t.Context(), m, []string{"https://example.org/" + ts}, false, noQueue)
	if err != nil || known {
		t.Fatalf("known %v, %v", known, err)
	}
	return jobs[0]
}

// send marks what waits as sent.
func send(t *testing.T, s *Store) {
	t.Helper()
	rows, err := s.Unsent(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	if err := s.MarkSent(t.Context(), ids, start); err != nil {
		t.Fatal(err)
	}
}

func alter(t *testing.T, s *Store, query string, args ...any) {
	t.Helper()
	if _, err := s.db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

// left names the rows that a table holds, by one of its columns.
func left(t *testing.T, s *Store, table, column string) []string {
	t.Helper()
	var out []string
	err := each(t.Context(), s.db, `SELECT `+column+` FROM `+table+` ORDER BY 1`, nil, func(rows *sql.Rows) error {
		out = append(out, "")
		return rows.Scan(&out[len(out)-1])
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func clean(t *testing.T, s *Store, keep time.Duration) {
	t.Helper()
	s.history = &historian{keep: keep, backfill: 3650 * day} // not by the option: the test says when
	if err := s.cleanHistory(t.Context(), start); err != nil {
		t.Fatal(err)
	}
}

func TestOldJobsAreRemovedWithAllThatIsTheirs(t *testing.T) {
	s := newStore(t)
	last := int64(0)
	for i := range 2*historyBatch + 3 {
		last = pastJob(t, s, fmt.Sprintf("10.%02d", i), 100*day).ID
	}
	young := pastJob(t, s, "20.0", 80*day)
	clean(t, s, 90*day)

	id := fmt.Sprint(young.ID)
	for table, column := range map[string]string{"jobs": "id", "stages": "job_id", "posts": "job_id", "reactions": "job_id", "messages": "id"} {
		if diff := cmp.Diff([]string{id}, left(t, s, table, column)); diff != "" {
			t.Errorf("%s: %s", table, diff)
		}
	}
	h, err := s.History(t.Context())
	want := History{
		Before: start.Add(-90 * day).UTC(), Jobs: 2*historyBatch + 3, LastJob: last,
		Decided: map[string]int64{"rule 7": 2*historyBatch + 3}, Messages: start.Add(-90 * day).UTC(),
	}
	if diff := cmp.Diff(want, h); diff != "" || err != nil {
		t.Errorf("%s %v", diff, err)
	}
	// What was decided stays decided: a rule that ends after some jobs does not begin again.
	if n, err := s.Decided(t.Context(), "rule 7"); n != 2*historyBatch+4 || err != nil {
		t.Errorf("%d decided, %v", n, err)
	}
	// Ids are never used again: they are a part of a job's identity.
	if next := openJob(t, s, "30.0", start); next.ID != young.ID+1 {
		t.Errorf("the next job has id %d", next.ID)
	}
}

func TestWhatIsStillNeededStays(t *testing.T) {
	s := newStore(t)
	jobs := map[string]commentator.Job{}
	for i, name := range []string{"unsent", "refused", "feedback waits", "repeated", "to retract", "plain"} {
		jobs[name] = pastJob(t, s, fmt.Sprintf("10.%d", i), 100*day)
	}
	outbox := `INSERT INTO outbox (job_id, kind, created_at, body, size, refused_at) VALUES (?, 'x', 0, ?, 1, ?)`
	alter(t, s, outbox, jobs["unsent"].ID, []byte{0}, nil)
	alter(t, s, outbox, jobs["refused"].ID, []byte{0}, 1)
	r := commentator.Reaction{Channel: "C1", MessageTS: "10.21", User: "U2", Name: "+1", Added: true, EventTS: slackTS(1)}
	if changed, err := s.React(t.Context(), r, 1, func(commentator.Job, commentator.Verdict) (telemetry.Message, error) {
		return body("feedback", "x"), nil
	}); !changed || err != nil {
		t.Fatal(changed, err)
	}
	alter(t, s, `UPDATE posts SET retract_at = 1 WHERE job_id = ?`, jobs["to retract"].ID)
	m := testMessage("10.3")
	m.ReceivedAt = start
	again, _, err := s.Ingest(t.Context(), m, []string{jobs["repeated"].URL}, true, noQueue)
	if err != nil || again[0].RetryOf != jobs["repeated"].ID {
		t.Fatal(again, err)
	}
	openJob(t, s, "11.0", start.Add(-100*day)) // waits for ever
	running := openJob(t, s, "12.0", start.Add(-100*day))
	begin(t, s, running.ID)

	clean(t, s, 90*day)
	var gone []string
	for name, j := range jobs {
		if _, err := s.Job(t.Context(), j.ID); err != nil {
			gone = append(gone, name)
		}
	}
	if diff := cmp.Diff([]string{"plain"}, gone); diff != "" {
		t.Error(diff)
	}
	if open, err := s.OpenJobs(t.Context()); len(open) != 3 || err != nil {
		t.Errorf("open jobs %v, %v", open, err)
	}
	if n := len(left(t, s, "messages", "id")); n != 7 {
		t.Errorf("%d messages", n)
	}

	// Once nothing holds them they go, in two sweeps: the job that repeats another one first.
	send(t, s)
	alter(t, s, `UPDATE outbox SET sent_at = 1`)
	alter(t, s, `UPDATE posts SET retracted_at = 1`)
	alter(t, s, `UPDATE jobs SET state = 'final', outcome = 'success', finished_at = 1, created_at = 1 WHERE id = ?`, again[0].ID)
	clean(t, s, 90*day)
	clean(t, s, 90*day)
	if diff := cmp.Diff([]string{fmt.Sprint(running.ID - 1), fmt.Sprint(running.ID)}, left(t, s, "jobs", "id")); diff != "" {
		t.Error(diff)
	}
}

// Slack's history brings again what is not before the time up to which the channel is known.
func TestMessagesThatMayComeAgainStay(t *testing.T) {
	s := newStore(t)
	pastJob(t, s, "1700000001.000000", 100*day)
	pastJob(t, s, "1700000002.000000", 100*day)
	pastJob(t, s, "1700000003.000000", 100*day)
	alter(t, s, `INSERT INTO messages (channel_id, message_ts, received_at) VALUES ('C1', '1700000001.500000', 1), ('C1', '1700000009.000000', ?)`, micros(start))
	alter(t, s, `INSERT INTO channels (channel_id, seen_ts, updated_at) VALUES ('C1', '1700000002.000000', 0)`)
	clean(t, s, 90*day)
	if jobs := left(t, s, "jobs", "id"); len(jobs) != 0 {
		t.Errorf("jobs %v", jobs)
	}
	want := []string{"1700000002.000000", "1700000003.000000", "1700000009.000000"}
	if diff := cmp.Diff(want, left(t, s, "messages", "message_ts")); diff != "" {
		t.Error(diff)
	}
	alter(t, s, `UPDATE channels SET seen_ts = '1700000010.000000'`)
	clean(t, s, 90*day)
	if diff := cmp.Diff(want[2:], left(t, s, "messages", "message_ts")); diff != "" {
		t.Error(diff)
	}
}

// What is older than Slack's history is read back goes, also when nobody reads it and the time up to
// which the channel is known stays what it was.
func TestMessagesThatNobodyBringsAgainGo(t *testing.T) {
	s := newStore(t)
	alter(t, s, `INSERT INTO channels (channel_id, seen_ts, updated_at) VALUES ('C1', '1000000000.000000', 0)`)
	for _, ago := range []time.Duration{100 * day, 92 * day} {
		alter(t, s, `INSERT INTO messages (channel_id, message_ts, received_at, text) VALUES ('C1', ?, ?, 'a')`, commentator.TS(start.Add(-ago)), micros(start.Add(-ago)))
	}
	old, young := commentator.TS(start.Add(-100*day)), commentator.TS(start.Add(-92*day))
	for _, tt := range []struct {
		backfill time.Duration
		want     []string
	}{{101 * day, []string{old, young}}, {95 * day, []string{young}}, {0, nil}} {
		s.history = &historian{keep: 90 * day, backfill: tt.backfill}
		if err := s.cleanHistory(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, left(t, s, "messages", "message_ts")); diff != "" {
			t.Errorf("backfill %v: %s", tt.backfill, diff)
		}
	}
	// Only what an edit adds to a message that is gone is new.
	if got := change(t, s, edited(old, commentator.TS(start), "a", "a b"), testRules()); len(got.Jobs) != 1 || got.Jobs[0].URL != "https://x.test/b" {
		t.Errorf("an edit of it: %+v", got)
	}
}

// Whoever reads Slack's history further back later than today begins behind what is gone.
func TestTheCursorPassesMessagesThatAreGone(t *testing.T) {
	s := newStore(t)
	insert := `INSERT INTO messages (channel_id, message_ts, received_at, text) VALUES (?, ?, ?, 'a')`
	for i, ago := range []time.Duration{100 * day, 96 * day, 92 * day} {
		alter(t, s, insert, "C1", commentator.TS(start.Add(-ago)), micros(start.Add(-ago)))
		alter(t, s, insert, "C2", commentator.TS(start.Add(-ago)), micros(start.Add(-ago)))
		alter(t, s, insert, "replay", fmt.Sprintf("no time %d", i), micros(start.Add(-ago)))
	}
	seen := map[string]time.Duration{"C1": 99 * day, "C2": day, "C3": 99 * day}
	for channel, ago := range seen {
		if err := s.StartChannel(t.Context(), channel, commentator.TS(start.Add(-ago)), start); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		backfill time.Duration
		want     string // the cursor of C1
	}{
		{101 * day, commentator.TS(start.Add(-99 * day))},
		{95 * day, commentator.TS(start.Add(-96*day + time.Microsecond))},
		{0, commentator.TS(start.Add(-92*day + time.Microsecond))},
	} {
		s.history = &historian{keep: 90 * day, backfill: tt.backfill}
		if err := s.cleanHistory(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		for channel, ago := range seen {
			want := commentator.TS(start.Add(-ago))
			if channel == "C1" {
				want = tt.want
			}
			if got, err := s.Seen(t.Context(), channel); got != want || err != nil {
				t.Errorf("backfill %v: the cursor of %s is at %s, want %s, %v", tt.backfill, channel, got, want, err)
			}
		}
	}
}

// An old link does not become new by an edit around it, though nothing is left of its job.
func TestAnEditOfAMessageWhoseJobIsGoneMakesNoNewOne(t *testing.T) {
	s := newStore(t)
	m := said("10.0", "a b")
	m.ReceivedAt = start.Add(-100 * day)
	jobs := receive(t, s, m, testRules()).Jobs
	finish(t, s, begin(t, s, jobs[0].ID).Job, commentator.OutcomeSuccess)
	alter(t, s, `UPDATE jobs SET finished_at = ? WHERE id = ?`, micros(m.ReceivedAt), jobs[0].ID)
	send(t, s)
	clean(t, s, 90*day)
	if diff := cmp.Diff([]string{fmt.Sprint(jobs[1].ID)}, left(t, s, "jobs", "id")); diff != "" {
		t.Fatal(diff)
	}
	got := change(t, s, edited("10.0", "11.0", "a b", "a b c"), testRules())
	if diff := cmp.Diff([]string{"c"}, urls(got.Jobs)); diff != "" || len(got.Withdrawn) != 0 {
		t.Errorf("withdrawn %v, jobs %s", got.Withdrawn, diff)
	}
}

func TestHistoryIsKeptForTwoDaysAtLeastAndForEverIfAskedTo(t *testing.T) {
	s := newStore(t)
	pastJob(t, s, "10.0", 3*day)
	pastJob(t, s, "10.1", day)
	clean(t, s, 0)
	if jobs := left(t, s, "jobs", "id"); len(jobs) != 2 {
		t.Errorf("jobs %v", jobs)
	}
	if h, err := s.History(t.Context()); h.Jobs != 0 || !h.Before.IsZero() || err != nil {
		t.Errorf("%+v, %v", h, err)
	}
	clean(t, s, time.Hour)
	if jobs := left(t, s, "jobs", "id"); len(jobs) != 1 || jobs[0] != "2" {
		t.Errorf("jobs %v", jobs)
	}
}

func TestWhatWasImportedIsAsOldAsTheImport(t *testing.T) {
	s := newStore(t)
	pastJob(t, s, "10.0", 1000*day)
	for i, ago := range []time.Duration{89 * day, 91 * day} {
		if err := writeNote(t.Context(), s.db, "migration", map[string]any{"from": "old.sqlite", "at": start.Add(-ago)}); err != nil {
			t.Fatal(err)
		}
		clean(t, s, 90*day)
		if jobs := left(t, s, "jobs", "id"); len(jobs) != 1-i {
			t.Errorf("imported %s ago: jobs %v", ago, jobs)
		}
	}
}

// The outbox may hold a gigabyte: it is asked by the indexes of what waits.
func TestHistoryNeverSearchesTheOutboxRowByRow(t *testing.T) {
	s := newStore(t)
	for group, index := range map[string]string{isUnsent: "outbox_unsent", isRefused: "outbox_refused"} {
		plan := planOf(t, s, `SELECT job_id FROM outbox WHERE `+group+` AND job_id IN (1, 2)`)
		if !strings.Contains(plan, index) {
			t.Errorf("%s: %s", group, plan)
		}
	}
}

func TestTheStoreCleansItsHistoryByItself(t *testing.T) {
	path := newDatabase(t)
	s := open(t, path)
	pastJob(t, s, "10.0", 100*day)
	s = open(t, path, WithHistory(90*day, 0))
	deadline := time.Now().Add(time.Minute)
	for len(left(t, s, "jobs", "id")) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the job is still there")
		}
		time.Sleep(5 * time.Millisecond) // another goroutine is polled through the database
	}
}

func TestWritableSaysWhyNot(t *testing.T) {
	s := open(t, dbPath(t))
	if err := s.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	alter(t, s, `PRAGMA query_only = 1`)
	wantErr(t, s.Writable(t.Context()), ErrReadOnly)
	alter(t, s, `PRAGMA query_only = 0`)
}
