package migrate

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/golden"
)

// The report of the odd rows, for people and as JSON.
func TestOddRowsAreReported(t *testing.T) {
	r, _ := run(t, newStore(t), mustRead(t, oldDatabase(t, oddRows(t))))
	r.From, r.To, r.Settings = "old.sqlite", "new.sqlite", []string{"DB_PATH=new.sqlite"}
	var text bytes.Buffer
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	list, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, filepath.Join("testdata", "report.txt"), text.Bytes())
	golden.Equal(t, filepath.Join("testdata", "report.json"), append(list, '\n'))
}

func TestJobsGoOnAreFinalOrEndAsTheirStatusSays(t *testing.T) {
	s := newStore(t)
	_, ids := run(t, s, mustRead(t, oldDatabase(t, oddRows(t))))
	if diff := cmp.Diff([]int64{4, 5, 8, 11}, ids); diff != "" {
		t.Errorf("enqueued jobs:\n%s", diff)
	}
	at := func(text string) time.Time {
		got, ok := parseTime(text)
		if !ok {
			t.Fatal(text)
		}
		return got
	}
	micro := now.Truncate(time.Microsecond)
	want := []commentator.Job{
		{
			ID: 1, MessageID: 1, URL: "https://example.org/done", Outcome: commentator.OutcomeSuccess, Attempt: 1,
			CreatedAt: at("2026-01-05 08:00:01"), FinishedAt: at("2026-01-05 08:00:31"),
		},
		{
			ID: 2, MessageID: 2, Outcome: commentator.OutcomeNoURLs, Attempt: 1,
			CreatedAt: at("2026-01-05 08:00:02"), FinishedAt: at("2026-01-05 08:00:07"),
		},
		{
			ID: 3, MessageID: 3, URL: "https://www.example.org/failed", Outcome: commentator.OutcomeError, Attempt: 3,
			ErrorType: "old_deployment", ErrorMessage: "HTTPError: 404",
			CreatedAt: at("2026-01-05 08:00:03"), FinishedAt: at("2026-01-05 08:05:00"),
		},
		{ID: 4, MessageID: 4, URL: "https://example.org/waits?a=1&b=2", State: commentator.JobPending, Attempt: 2, CreatedAt: at("2026-01-05 08:00:04")},
		{ID: 5, MessageID: 5, URL: "https://example.org/processing", State: commentator.JobPending, Attempt: 1, CreatedAt: at("2026-01-05 08:00:05")},
		{
			ID: 6, MessageID: 6, URL: "https://example.org/status", Outcome: commentator.OutcomeCancelled,
			ErrorType: "unknown_status", ErrorMessage: `The old deployment left it with the status "paused".`,
			CreatedAt: at("2026-01-05 08:00:06"), FinishedAt: at("2026-01-05 08:00:06"),
		},
		{
			ID: 7, MessageID: 7, URL: "https://example.org/times", Outcome: commentator.OutcomeSuccess, Attempt: 1,
			CreatedAt: at("2026-01-05 08:00:07.0001"), FinishedAt: at("2026-01-05 08:00:07.0001"),
		},
		{ID: 8, MessageID: 8, URL: "https://example.org/notime", State: commentator.JobPending, CreatedAt: micro},
		{
			ID: 9, MessageID: 9, URL: "https://example.org/nul", Outcome: commentator.OutcomeError, Attempt: 5,
			ErrorType: "old_deployment", ErrorMessage: "NUL\uFFFD",
			CreatedAt: at("2026-01-05 08:00:09"), FinishedAt: at("2026-01-05 08:00:10"),
		},
		{
			ID: 10, MessageID: 10, URL: "https://example.org/utf8", Outcome: commentator.OutcomeSuccess, Attempt: 1,
			CreatedAt: at("2026-01-05 08:00:10"), FinishedAt: at("2026-01-05 08:00:40"),
		},
		{ID: 11, MessageID: 11, URL: "https://example.org/two", State: commentator.JobPending, CreatedAt: at("2026-01-05 08:00:11")},
		{
			ID: 12, MessageID: 11, URL: "https://example.org/two", RetryOf: 11, Outcome: commentator.OutcomeCancelled,
			ErrorType: "duplicate_job", ErrorMessage: "Job 11 is about the same link and goes on.",
			CreatedAt: at("2026-01-05 08:01:11"), FinishedAt: at("2026-01-05 08:01:11"),
		},
		{
			ID: 13, MessageID: 13, Outcome: commentator.OutcomeNoURLs, Attempt: 1,
			CreatedAt: at("2026-01-05 08:09:00"), FinishedAt: at("2026-01-05 08:09:30"),
		},
		{
			ID: 14, MessageID: 14, Outcome: commentator.OutcomeError,
			ErrorType: "no_message", ErrorMessage: "The old database does not hold the message of this job.",
			CreatedAt: at("2026-01-05 08:09:01"), FinishedAt: at("2026-01-05 08:09:01"),
		},
		{
			ID: 15, MessageID: 15, Outcome: commentator.OutcomeNoURLs, Attempt: 1,
			CreatedAt: at("2026-01-05 08:00:13"), FinishedAt: at("2026-01-05 08:00:33"),
		},
	}
	for i := range want {
		j := &want[i]
		j.StoreID = s.StoreID()
		if j.URL != "" {
			j.Domain = strings.Split(j.URL, "/")[2]
		}
		if j.State == "" {
			j.State, j.Detail, j.StartedAt = commentator.JobFinal, commentator.DetailOff, j.CreatedAt
		}
	}
	var got []commentator.Job
	for _, j := range contents(t, s).Jobs {
		got = append(got, j.Job)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMessagesAreKept(t *testing.T) {
	s := newStore(t)
	run(t, s, mustRead(t, oldDatabase(t, oddRows(t))))
	byID := map[int64]commentator.Message{}
	for _, m := range contents(t, s).Messages {
		byID[m.ID] = m
	}
	if len(byID) != 15 { // 12 of 13, and 3 for jobs without one
		t.Errorf("%d messages", len(byID))
	}
	received, _ := parseTime("2026-01-05 08:00:03")
	want := commentator.Message{
		ID: 3, Channel: "C1", TS: "1767600003.000100", ThreadTS: "1767600001.000100", User: "U2",
		Text: "failed (see www.example.org/failed).", ReceivedAt: received,
	}
	if diff := cmp.Diff(want, byID[3]); diff != "" {
		t.Error(diff)
	}
	if got := byID[9].Text; got != "NUL\uFFFDinside https://example.org/nul" {
		t.Errorf("text %q", got)
	}
	if got := byID[10].Text; got != "No UTF-8: \uFFFD https://example.org/utf8" {
		t.Errorf("text %q", got)
	}
}

// Nothing of a job that was final is ever sent, and nothing is sent before a job begins.
func TestAMigrationRecordsNothing(t *testing.T) {
	s := newStore(t)
	run(t, s, mustRead(t, oldDatabase(t, oddRows(t))))
	if rows, _, _, err := s.Depth(t.Context()); err != nil || rows != 0 {
		t.Errorf("%d messages in the outbox; %v", rows, err)
	}
}

func TestNewRowsGetIDsAboveAllOldOnes(t *testing.T) {
	s := newStore(t)
	run(t, s, mustRead(t, oldDatabase(t, oddRows(t))))
	m := commentator.Message{Channel: "C1", TS: "1767700000.000100", ReceivedAt: now}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://example.org/new"}, false, new(enqueued).add)
	if err != nil || jobs[0].ID != 41 || jobs[0].MessageID != 16 {
		t.Errorf("job %+v, want id 41 of message 16; %v", jobs, err)
	}
}

func TestAKnownMessageIsNotAnsweredAgain(t *testing.T) {
	s := newStore(t)
	run(t, s, mustRead(t, oldDatabase(t, oddRows(t))))
	for _, m := range contents(t, s).Messages {
		m.ID, m.ReceivedAt = 0, now
		_, known, err := s.Ingest(t.Context(), m, []string{"https://example.org/again"}, false, new(enqueued).add)
		if err != nil || !known {
			t.Errorf("message %s/%s is taken for a new one; %v", m.Channel, m.TS, err)
		}
	}
}

func TestTwoCopiesOfAnOldDatabaseShareNoIdentity(t *testing.T) {
	old := mustRead(t, oldDatabase(t, oddRows(t)))
	seen := map[wire.TraceID]bool{}
	n := 0
	for range 2 {
		s := newStore(t)
		run(t, s, old)
		for _, j := range contents(t, s).Jobs {
			id, _ := wire.JobIdentity(j.StoreID, j.ID, j.CreatedAt)
			seen[id] = true
			n++
		}
	}
	if len(seen) != n || n == 0 {
		t.Errorf("%d identities of %d jobs", len(seen), n)
	}
}

func TestARepeatedMigrationChangesNothing(t *testing.T) {
	s := newStore(t)
	old := mustRead(t, oldDatabase(t, oddRows(t)))
	first, _ := run(t, s, old)
	before := contents(t, s)
	again, ids := run(t, s, old)
	if len(ids) > 0 {
		t.Errorf("jobs %v were enqueued once more", ids)
	}
	if diff := cmp.Diff(before, contents(t, s)); diff != "" {
		t.Error(diff)
	}
	if m := again.Messages; m.There != first.Messages.Added || m.Added+m.Made > 0 {
		t.Errorf("messages %+v", m)
	}
	if total := again.Total(); total.There+total.LeftOut != total.Read {
		t.Errorf("jobs %+v", total)
	}
}

// The old program went on after a first migration.
func TestARepeatedMigrationAddsWhatTheOldProgramDidSince(t *testing.T) {
	s := newStore(t)
	path := oldDatabase(t, oddRows(t))
	run(t, s, mustRead(t, path))
	db := openFile(t, path)
	defer db.Close()
	_, err := db.Exec(`
		UPDATE jobs SET status = 'done', attempts = 3, updated_at = '2026-01-05 09:00:00' WHERE id = 4;
		UPDATE jobs SET status = 'failed', last_error = 'late', updated_at = '2026-01-05 09:00:01' WHERE id = 5;
		INSERT INTO messages (channel_id, message_ts, text, created_at) VALUES ('C1', '1767600100.000100', 'https://example.org/more', '2026-01-05 09:00:02');
		INSERT INTO jobs (channel_id, message_ts, created_at) VALUES ('C1', '1767600100.000100', '2026-01-05 09:00:02')`)
	if err != nil {
		t.Fatal(err)
	}
	r, ids := run(t, s, mustRead(t, path))
	if diff := cmp.Diff([]int64{41}, ids); diff != "" {
		t.Errorf("enqueued: %s", diff)
	}
	if r.Messages.Added != 1 || r.status(statusDone).Done != 1 || r.status(statusFailed).Failed != 1 || r.status(statusPending).GoOn != 1 {
		t.Errorf("report %+v", r)
	}
	for id, want := range map[int64]commentator.Outcome{4: commentator.OutcomeSuccess, 5: commentator.OutcomeError, 8: "", 41: ""} {
		if j, err := s.Job(t.Context(), id); err != nil || j.Outcome != want {
			t.Errorf("job %d: %+v, %v", id, j, err)
		}
	}
	// The old program gave the message an id that a message made here has.
	if j, err := s.Job(t.Context(), 41); err != nil || j.URL != "https://example.org/more" {
		t.Errorf("job 41: %+v, %v", j, err)
	}
	if !slices.ContainsFunc(r.Remarks, func(m Remark) bool { return m.Code == remarkID }) {
		t.Errorf("nobody is told of the other id: %+v", r.Remarks)
	}
	// The id that it has instead is given to the next one there.
	_, err = db.Exec(`INSERT INTO messages (channel_id, message_ts, text, created_at) VALUES ('C1', '1767600200.000100', 'https://example.org/last', '2026-01-05 09:00:03')`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0} {
		if r, ids := run(t, s, mustRead(t, path)); r.Messages.Added != want || len(ids) > 0 {
			t.Errorf("%d messages are added, want %d; enqueued %v", r.Messages.Added, want, ids)
		}
	}
}

// A job that was begun here stays as it is, and a person is told to look.
func TestARepeatedMigrationLeavesWhatWasBegunHere(t *testing.T) {
	s := newStore(t)
	path := oldDatabase(t, oddRows(t))
	run(t, s, mustRead(t, path))
	begin(t, s, 4)
	db := openFile(t, path)
	defer db.Close()
	if _, err := db.Exec(`UPDATE jobs SET status = 'done', updated_at = '2026-01-05 09:00:00' WHERE id = 4`); err != nil {
		t.Fatal(err)
	}
	r, _ := run(t, s, mustRead(t, path))
	if j, err := s.Job(t.Context(), 4); err != nil || j.State != commentator.JobRunning {
		t.Errorf("job 4: %+v, %v", j, err)
	}
	if !slices.ContainsFunc(r.Remarks, func(m Remark) bool { return m.Code == remarkBoth && m.ID == 4 }) {
		t.Errorf("nobody is told: %+v", r.Remarks)
	}
}

func TestAMigrationIsWholeOrIsNot(t *testing.T) {
	s := newStore(t)
	old := mustRead(t, oldDatabase(t, oddRows(t)))
	cfg := config(old, &enqueued{})
	full := errors.New("the disk is full")
	cfg.Enqueue = func(_ context.Context, _ *sql.Tx, id int64) error {
		if id == 11 { // the last one
			return full
		}
		return nil
	}
	if _, err := Run(t.Context(), cfg, s); !errors.Is(err, full) {
		t.Fatalf("error %v", err)
	}
	if c := contents(t, s); len(c.Messages)+len(c.Jobs) > 0 || c.Note != nil {
		t.Errorf("%d messages and %d jobs are left of it", len(c.Messages), len(c.Jobs))
	}
	if r, _ := run(t, s, old); r.Total().GoOn != 4 {
		t.Errorf("report %+v", r)
	}
}

func TestAPreviewTellsTheSameAndWritesNothing(t *testing.T) {
	s := newStore(t)
	old := mustRead(t, oldDatabase(t, oddRows(t)))
	absent, err := Preview(t.Context(), config(old, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	there, err := Preview(t.Context(), config(old, nil), s)
	if err != nil {
		t.Fatal(err)
	}
	if c := contents(t, s); len(c.Messages)+len(c.Jobs) > 0 {
		t.Errorf("%d messages and %d jobs were written", len(c.Messages), len(c.Jobs))
	}
	r, _ := run(t, s, old)
	for name, preview := range map[string]Report{"no database": absent, "an empty database": there} {
		if diff := cmp.Diff(r, preview, cmpopts.IgnoreFields(Report{}, "To", "DryRun")); diff != "" || !preview.DryRun {
			t.Errorf("with %s: %s", name, diff)
		}
	}
}

func TestADatabaseWithOtherRowsIsRefused(t *testing.T) {
	old := mustRead(t, oldDatabase(t, oddRows(t)))
	message := func(ts string) commentator.Message {
		return commentator.Message{Channel: "C7", TS: ts, ReceivedAt: now}
	}
	t.Run("of this program", func(t *testing.T) {
		s := newStore(t)
		if _, _, err := s.Ingest(t.Context(), message("1.000000"), nil, false, new(enqueued).add); err != nil {
			t.Fatal(err)
		}
		_, err := Run(t.Context(), config(old, &enqueued{}), s)
		wantCode(t, err, CodeNotEmpty)
	})
	t.Run("of another old database", func(t *testing.T) {
		s := newStore(t)
		run(t, s, mustRead(t, oldDatabase(t, oneMore)))
		_, err := Run(t.Context(), config(old, &enqueued{}), s)
		wantCode(t, err, CodeDiffers)
		if c := contents(t, s); len(c.Jobs) != 1 {
			t.Errorf("%d jobs, want the one of before", len(c.Jobs))
		}
	})
	t.Run("of both programs since", func(t *testing.T) {
		s := newStore(t)
		path := oldDatabase(t, oneMore)
		run(t, s, mustRead(t, path))
		if _, _, err := s.Ingest(t.Context(), message("2.000000"), nil, false, new(enqueued).add); err != nil {
			t.Fatal(err)
		}
		db := openFile(t, path)
		defer db.Close()
		if _, err := db.Exec(`INSERT INTO messages (channel_id, message_ts) VALUES ('C1', '3.000000')`); err != nil {
			t.Fatal(err)
		}
		_, err := Run(t.Context(), config(mustRead(t, path), &enqueued{}), s)
		wantCode(t, err, CodeDiffers)
		if err == nil || !strings.Contains(err.Error(), "message 2 is another one here") {
			t.Errorf("error %v", err)
		}
	})
}

func TestTheOldDatabaseIsNotTheOneToWrite(t *testing.T) {
	path := oldDatabase(t)
	link := filepath.Join(t.TempDir(), "link.sqlite")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	wantCode(t, SameFile(path, link), CodeSameFile)
	if err := SameFile(path, filepath.Join(t.TempDir(), "new.sqlite")); err != nil {
		t.Error(err)
	}
}

// begin begins an attempt at a job.
func begin(t testing.TB, s *store.Store, id int64) store.Attempt {
	t.Helper()
	decide := func(commentator.Job, commentator.Message) commentator.Decision {
		return commentator.Decision{Detail: commentator.DetailOff}
	}
	a, err := s.BeginAttempt(context.Background(), id, now, decide, noMessage)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What was posted while neither program ran is fetched from there on, and a page that the old
// one has just commented on is not commented on again.
func TestChannelsAndPagesGoOnWhereTheOldProgramWas(t *testing.T) {
	s := newStore(t)
	run(t, s, mustRead(t, oldDatabase(t, oddRows(t))))
	for channel, want := range map[string]string{"C1": "1767600005.000100", "C2": "1767600012.000100", "C9": ""} {
		if seen, err := s.Seen(t.Context(), channel); err != nil || seen != want {
			t.Errorf("channel %s is known until %q, want %q; %v", channel, seen, want, err)
		}
	}
	key := func(link string) store.Link { return store.Link{URL: link, Key: strings.ToLower(link)} }
	m := commentator.Message{Channel: "C1", TS: "1767600020.000100", ReceivedAt: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)}
	got, err := s.Receive(t.Context(), m, store.Rules{
		Links: func(string) []store.Link {
			return []store.Link{key("HTTPS://example.org/DONE"), key("https://www.example.org/failed"), key("https://example.org/waits?a=1&b=2")}
		},
		Limit: 3, Cooldown: 2 * time.Hour, Enqueue: new(enqueued).add,
	})
	if err != nil || len(got.Cooled) != 2 || len(got.Jobs) != 1 || got.Jobs[0].URL != "https://www.example.org/failed" {
		t.Errorf("received %+v, %v; want a job for the page that failed alone", got, err)
	}
}
