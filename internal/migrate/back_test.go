package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

func noMessage(commentator.Job, commentator.Message) (telemetry.Message, error) {
	return telemetry.Message{}, nil
}

// TestMigrateThenExportGivesTheOldTables: whatever an old database holds, going there and back
// gives what expected says, which is the old tables but for what the documentation names.
func TestMigrateThenExportGivesTheOldTables(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		old := drawTables(rt)
		path := filepath.Join(dir, fmt.Sprintf("%d.old", runs))
		if err := Write(context.Background(), path, old); err != nil {
			rt.Fatal(err)
		}
		read, err := Read(context.Background(), path)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(old, read); diff != "" {
			rt.Fatalf("what was written is not what is read:\n%s", diff)
		}
		s, err := store.Open(context.Background(), dbtest.New(t))
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		var ids enqueued
		r, err := Run(context.Background(), config(read, &ids), s)
		if err != nil {
			rt.Fatal(err)
		}
		for _, c := range r.Jobs {
			if c.Read != c.sum() || c.LeftOut+c.There+c.Merged > 0 {
				rt.Fatalf("counts %+v", c)
			}
		}
		if r.Total().Read != len(old.Jobs) || r.Messages.Read != len(old.Messages) || r.Messages.Added != len(old.Messages) {
			rt.Fatalf("report %+v", r)
		}
		for _, id := range ids {
			i := slices.IndexFunc(old.Jobs, func(j OldJob) bool { return j.ID == id })
			if status := old.Jobs[i].Status.String; status != statusPending && status != statusProcessing {
				rt.Fatalf("job %d was %s and goes on", id, status)
			}
		}
		if r.Total().GoOn != len(ids) {
			rt.Fatalf("%d jobs were enqueued, the report tells of %d", len(ids), r.Total().GoOn)
		}

		out := filepath.Join(dir, fmt.Sprintf("%d.back", runs))
		if _, err := Export(context.Background(), s, out, false); err != nil {
			rt.Fatal(err)
		}
		back, err := Read(context.Background(), out)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(expected(old), back); diff != "" {
			rt.Fatalf("there and back:\n%s", diff)
		}
	})
}

// drawTables draws an old database: at most one job for a message, as the old program made
// them, with texts of all kinds.
func drawTables(rt *rapid.T) Tables {
	var t Tables
	text := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"", "see https://example.org/a.", "<https://example.org/b|b> and www.example.org", "NUL\x00 https://c.test", "no UTF-8 \xff"}),
	)
	maybe := func(g *rapid.Generator[string], name string) sql.NullString {
		return sql.NullString{String: g.Draw(rt, name), Valid: true}
	}
	null := func(g *rapid.Generator[string], name string) sql.NullString {
		if rapid.Bool().Draw(rt, name+" is null") {
			return sql.NullString{}
		}
		return maybe(g, name)
	}
	moment := rapid.Custom(func(rt *rapid.T) string {
		return fmt.Sprintf("20%02d-%02d-%02d %02d:%02d:%02d", rapid.IntRange(20, 40).Draw(rt, "year"), rapid.IntRange(1, 12).Draw(rt, "month"),
			rapid.IntRange(1, 28).Draw(rt, "day"), rapid.IntRange(0, 23).Draw(rt, "hour"), rapid.IntRange(0, 59).Draw(rt, "minute"), rapid.IntRange(0, 59).Draw(rt, "second"))
	})
	n := rapid.IntRange(0, 8).Draw(rt, "messages")
	for range n {
		t.LastMessageID += int64(rapid.IntRange(1, 3).Draw(rt, "gap"))
		m := OldMessage{
			ID: t.LastMessageID, Channel: maybe(rapid.SampledFrom([]string{"C1", "C2"}), "channel"),
			TS: given(fmt.Sprintf("1767600000.%06d", t.LastMessageID)), Thread: null(rapid.Just("1767500000.000100"), "thread"),
			User: null(rapid.Just("U1"), "user"), Text: null(text, "text"),
			CreatedAt: maybe(moment, "created_at"), Status: maybe(rapid.SampledFrom([]string{"received", "queued"}), "status"),
		}
		t.Messages = append(t.Messages, m)
		if rapid.IntRange(0, 4).Draw(rt, "no job") == 0 {
			continue
		}
		t.LastJobID += int64(rapid.IntRange(1, 3).Draw(rt, "gap"))
		t.Jobs = append(t.Jobs, OldJob{
			ID: t.LastJobID, Channel: m.Channel, TS: m.TS,
			Status:   maybe(rapid.SampledFrom([]string{statusPending, statusProcessing, statusDone, statusFailed, "paused"}), "status"),
			Attempts: maybe(rapid.SampledFrom([]string{"0", "1", "7"}), "attempts"), LastError: null(text, "last_error"),
			CreatedAt: maybe(moment, "created_at"), UpdatedAt: maybe(moment, "updated_at"),
		})
	}
	return t
}

// expected is what is documented to come back of an old database.
func expected(old Tables) Tables {
	tidy := func(s sql.NullString) sql.NullString {
		s.String = strings.ReplaceAll(strings.ToValidUTF8(s.String, "\uFFFD"), "\x00", "\uFFFD")
		s.Valid = s.Valid && s.String != "" // an empty text is none
		return s
	}
	t := old
	t.Messages, t.Jobs = slices.Clone(old.Messages), slices.Clone(old.Jobs)
	for i := range t.Messages {
		m := &t.Messages[i]
		m.Text, m.Status = tidy(m.Text), given("received")
	}
	for i := range t.Jobs {
		j := &t.Jobs[i]
		j.LastError = tidy(j.LastError)
		switch j.Status.String {
		case statusPending, statusProcessing:
			j.Status, j.LastError, j.UpdatedAt = given(statusPending), sql.NullString{}, j.CreatedAt
		case statusDone:
			j.LastError = sql.NullString{}
		case "paused":
			j.Status, j.LastError = given(statusFailed), given(`The old deployment left it with the status "paused".`)
		}
	}
	return t
}

func TestExportRefusesAFileThatIsThere(t *testing.T) {
	s := newStore(t)
	path := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Export(t.Context(), s, path, false)
	wantCode(t, err, CodeExists)
	wantCode(t, Write(t.Context(), path, Tables{}), CodeExists)
	if body, _ := os.ReadFile(path); string(body) != "mine" {
		t.Errorf("the file holds %q now", body)
	}
}

func TestAnExportThatFailsLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	twice := []OldMessage{
		{ID: 1, Channel: given("C1"), TS: given("1")},
		{ID: 1, Channel: given("C1"), TS: given("2")},
	}
	if err := Write(t.Context(), path, Tables{Messages: twice}); err == nil {
		t.Fatal("two rows with one id were written")
	}
	if left := files(t, filepath.Dir(path)); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// Jobs as this program makes them: several links, retries, links that were taken back.
func TestExportMakesOneRowOfTheJobsOfAMessage(t *testing.T) {
	job := func(id int64, link string, outcome commentator.Outcome) store.HeldJob {
		j := store.HeldJob{Job: commentator.Job{ID: id, MessageID: 1, URL: link, State: commentator.JobPending, CreatedAt: now, Attempt: 2}}
		if outcome != "" {
			j.State, j.Outcome, j.FinishedAt, j.ErrorMessage = commentator.JobFinal, outcome, now, string(outcome)
		}
		return j
	}
	const a, b = "https://example.org/a", "https://example.org/b"
	withdrawn := func(j store.HeldJob) store.HeldJob { j.Withdrawn = true; return j }
	replied := func(j store.HeldJob) store.HeldJob { j.Asked, j.Replied = true, true; return j }
	for name, tt := range map[string]struct {
		jobs   []store.HeldJob
		id     int64
		status string
	}{
		"one":                           {[]store.HeldJob{job(1, a, commentator.OutcomeSuccess)}, 1, statusDone},
		"the second link waits":         {[]store.HeldJob{job(1, a, commentator.OutcomeSuccess), job(2, b, "")}, 1, statusDone},
		"the first link waits":          {[]store.HeldJob{job(1, a, ""), job(2, b, commentator.OutcomeSuccess)}, 1, statusPending},
		"a retry waits":                 {[]store.HeldJob{job(1, a, commentator.OutcomeError), job(2, b, ""), job(3, a, "")}, 3, statusPending},
		"a retry succeeded":             {[]store.HeldJob{job(1, a, commentator.OutcomeError), job(3, a, commentator.OutcomeSuccess)}, 3, statusDone},
		"a retry failed":                {[]store.HeldJob{job(1, a, commentator.OutcomeError), job(3, a, commentator.OutcomeError)}, 3, statusFailed},
		"a later one was cancelled":     {[]store.HeldJob{job(1, a, ""), job(3, a, commentator.OutcomeCancelled)}, 1, statusPending},
		"the first link was taken back": {[]store.HeldJob{withdrawn(job(1, a, commentator.OutcomeCancelled)), job(2, b, "")}, 2, statusPending},
		"all links were taken back":     {[]store.HeldJob{withdrawn(job(1, a, ""))}, 1, statusFailed},
		"a link came later":             {[]store.HeldJob{job(1, "", commentator.OutcomeNoURLs), job(2, a, "")}, 2, statusPending},
		"no link":                       {[]store.HeldJob{job(1, "", commentator.OutcomeNoURLs)}, 1, statusDone},
		"the gates refused it":          {[]store.HeldJob{job(1, a, commentator.OutcomeGateFailed)}, 1, statusDone},
		"the reply is there":            {[]store.HeldJob{replied(job(1, a, ""))}, 1, statusDone},
	} {
		t.Run(name, func(t *testing.T) {
			held := store.Contents{Messages: []commentator.Message{{ID: 1, Channel: "C1", TS: "1.0", ReceivedAt: now}}, Jobs: tt.jobs}
			tables, r := back(held)
			checkSums(t, r)
			if len(tables.Jobs) != 1 {
				t.Fatalf("%d rows", len(tables.Jobs))
			}
			if j := tables.Jobs[0]; j.ID != tt.id || j.Status.String != tt.status || j.Attempts.String != "2" {
				t.Errorf("row %+v, want id %d, %s", j, tt.id, tt.status)
			}
			if merged := r.Total().Merged; merged != len(tt.jobs)-1 || len(r.Remarks) != merged {
				t.Errorf("%d merged, remarks %+v", merged, r.Remarks)
			}
		})
	}
}

func TestExportTellsOfRepliesThatMayBeThere(t *testing.T) {
	held := store.Contents{
		Messages: []commentator.Message{{ID: 1, Channel: "C1", TS: "1.0", ReceivedAt: now}},
		Jobs:     []store.HeldJob{{Job: commentator.Job{ID: 1, MessageID: 1, URL: "https://a.test", State: commentator.JobRunning}, Asked: true}},
	}
	if _, r := back(held); len(r.Remarks) != 1 || r.Remarks[0].Code != remarkUnsure {
		t.Errorf("remarks %+v", r.Remarks)
	}
}

func TestExportLeavesOutLinksOfTheCommandLine(t *testing.T) {
	s := newStore(t)
	m := commentator.Message{Channel: "replay", TS: "1767600000.000100", Text: "https://example.org", ReceivedAt: now}
	if _, _, err := s.Ingest(t.Context(), m, []string{"https://example.org"}, false, new(enqueued).add); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out")
	r, err := Export(t.Context(), s, path, false)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, r)
	if tables := mustRead(t, path); len(tables.Messages)+len(tables.Jobs) > 0 || r.LeftOut() != 2 {
		t.Errorf("tables %+v, report %+v", tables, r)
	}
}

// The old program can go on with what was exported: its defaults and its ids work.
func TestTheOldProgramGoesOnWithAnExport(t *testing.T) {
	s := newStore(t)
	run(t, s, mustRead(t, oldDatabase(t, oddRows(t))))
	path := filepath.Join(t.TempDir(), "out")
	if _, err := Export(t.Context(), s, path, false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others can read the messages", info.Mode(), err)
	}
	db := openFile(t, path)
	defer db.Close()
	if _, err := db.Exec(oneMore); err != nil {
		t.Fatal(err)
	}
	var message, job int64
	var status, integrity string
	if err := db.QueryRow(`SELECT max(id), (SELECT max(id) FROM jobs), (SELECT status FROM jobs ORDER BY id DESC) FROM messages`).Scan(&message, &job, &status); err != nil {
		t.Fatal(err)
	}
	if message != 16 || job != 41 || status != "pending" {
		t.Errorf("the next rows are message %d and job %d, %s", message, job, status)
	}
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&integrity); err != nil || integrity != "ok" {
		t.Errorf("integrity: %s, %v", integrity, err)
	}
}
