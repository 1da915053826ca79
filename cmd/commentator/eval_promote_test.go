package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/feedback"
	"github.com/technoshare/commentator/internal/store"
)

// What is said to be added is added, whatever comes of the jobs after it; each job is looked at once.
func TestPromoteKeepsWhatItSaid(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	m := commentator.Message{Channel: "C1", TS: "1.000000", ReceivedAt: time.Now(), Text: "look"}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://a.test/one", "https://b.test/two", "https://c.test/three"}, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"adapter": "GenericAdapter", "sources": [], "snippets": [{"id": "s1", "content": "Text.", "source_url": ""}], "coverage": "full", "errors": []}`
	for i, stage := range []struct{ result, analysis any }{{good, nil}, {`{"adapter": 5}`, nil}, {good, "{"}} {
		_, err := s.DB().Exec(`INSERT INTO stages (job_id, stage, attempt, started_at, ended_at, result, analysis) VALUES (?, 'retrieval', 1, 0, 1, ?, ?)`, jobs[i].ID, stage.result, stage.analysis)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		jobs string
		code int
		says []string // once each
	}{
		{"1,2,1", exitEvalFailed, []string{"job 1: added one", "job 1: ", "job 2: refused: its evidence cannot be read: "}},
		{"1,3,2", exitEvalImpossible, []string{"job 1: added one"}},
	} {
		set := filepath.Join(dir, tc.jobs+".json")
		var out, errs bytes.Buffer
		args := []string{"eval", "promote", "--job", tc.jobs, "--dataset", set}
		if code := run(t.Context(), args, []string{"DB_PATH=" + path}, strings.NewReader(""), &out, &errs); code != tc.code {
			t.Errorf("%s: exit code %d, want %d: %s", tc.jobs, code, tc.code, &errs)
		}
		for _, say := range tc.says {
			if strings.Count(out.String(), say) != 1 {
				t.Errorf("%s: %q does not say %q once", tc.jobs, &out, say)
			}
		}
		if text, err := os.ReadFile(set); err != nil || !strings.Contains(string(text), "https://a.test/one") {
			t.Errorf("%s: the dataset is %q, %v", tc.jobs, text, err)
		}
	}
}

// What people did not find helpful becomes examples, with masked messages.
func TestPromoteWhatPeopleDidNotLike(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	const link = "https://b.test/disliked?access_token=k9Qw3eRtY7uIoP0aSdFg"
	now := time.Now().UTC().Truncate(time.Microsecond)
	m := commentator.Message{Channel: "C1", TS: "1.000000", ReceivedAt: now, Text: "<@U0123456789> look, anna@example.org: https://a.test/liked " + link}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://a.test/liked", link}, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	f := feedback.New(feedback.Config{Store: s, Up: []string{"+1"}, Down: []string{"-1"}})
	for i, reaction := range []string{"+1", "-1"} {
		reply := fmt.Sprintf("2.%06d", i)
		_, err := s.DB().Exec(`INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts) VALUES (?, 0, 'C1', '1.000000', 1, 0, ?)`, jobs[i].ID, reply)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.DB().Exec(`
			INSERT INTO stages (job_id, stage, attempt, started_at, ended_at, result)
			VALUES (?, 'retrieval', 1, 0, 1, '{"adapter": "GenericAdapter", "sources": [], "snippets": [{"id": "s1", "content": "Text of bob@example.org.", "source_url": ""}], "coverage": "full", "errors": []}')`, jobs[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		err = f.React(t.Context(), commentator.Reaction{
			Channel: "C1", MessageTS: reply, User: "U0123456789", Name: reaction, Added: true, ReceivedAt: now, EventTS: fmt.Sprintf("%d.000000", now.Unix()),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	set := filepath.Join(dir, "set.json")
	promote := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		args = append([]string{"eval", "promote", "--feedback", "down", "--dataset", set}, args...)
		if code := run(t.Context(), args, []string{"DB_PATH=" + path}, strings.NewReader(""), &out, &errs); code != exitOK {
			t.Fatalf("exit code %d\n%s%s", code, &out, &errs)
		}
		return out.String()
	}
	if out := promote("--dry-run"); !strings.Contains(out, "job 2: added disliked") || !strings.Contains(out, "nothing was written") {
		t.Errorf("dry run: %s", out)
	}
	if _, err := os.Stat(set); err == nil {
		t.Error("a dry run wrote the dataset")
	}
	if out := promote(); !strings.Contains(out, "job 2: added disliked") || strings.Contains(out, "job 1") {
		t.Errorf("first: %s", out)
	}
	if out := promote("--theme", "Agentic Workflows"); !strings.Contains(out, "job 2: merged disliked") {
		t.Errorf("with a theme: %s", out)
	}
	text, err := os.ReadFile(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"feedback-down"`, `"expected_theme": "Agentic Workflows"`, "https://b.test/disliked"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the dataset lacks %s:\n%s", want, text)
		}
	}
	files := 0
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".json" {
			return err
		}
		files++
		text, err := os.ReadFile(file)
		for _, secret := range []string{"anna@example.org", "bob@example.org", "U0123456789", "k9Qw3eRtY7uIoP0aSdFg"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s has %s:\n%s", filepath.Base(file), secret, text)
			}
		}
		return err
	})
	if err != nil || files != 2 {
		t.Errorf("%d files, want dataset and evidence: %v", files, err)
	}
}
