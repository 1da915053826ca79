package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/feedback"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/store"
)

func TestFeedbackList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	m := commentator.Message{Channel: "C1", TS: "1.000000", ReceivedAt: now}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://a.test/", "https://b.test/"}, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	f := feedback.New(feedback.Config{Store: s, Up: []string{"+1"}, Down: []string{"-1"}})
	react := func(j commentator.Job, user, name string, ago time.Duration, added bool) {
		t.Helper()
		reply := fmt.Sprintf("2.%06d", j.ID)
		_, err := s.DB().Exec(`
			INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts) VALUES (?, 0, 'C1', '1.000000', 1, 0, ?) ON CONFLICT DO NOTHING`, j.ID, reply)
		if err != nil {
			t.Fatal(err)
		}
		at := now.Add(-ago)
		r := commentator.Reaction{
			Channel: "C1", MessageTS: reply, User: user, Name: name, Added: added, ReceivedAt: now,
			EventTS: fmt.Sprintf("%d.%06d", at.Unix(), at.Nanosecond()/1000),
		}
		if err := f.React(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	react(jobs[0], "U0123456789", "+1", 48*time.Hour, true)
	react(jobs[0], "U9876543210", "-1", time.Hour, true)
	react(jobs[1], "U0123456789", "+1", time.Hour, true)
	react(jobs[1], "U0123456789", "+1", time.Minute, false)
	first, second := redact.Pseudonym(s.PseudonymKey(), "U0123456789"), redact.Pseudonym(s.PseudonymKey(), "U9876543210")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	list := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		environ := []string{"DB_PATH=" + path, "SLACK_WORKSPACE_URL=https://team.slack.com/"}
		if code := run(t.Context(), append([]string{"feedback", "list"}, args...), environ, strings.NewReader(""), &out, &errs); code != exitOK {
			t.Fatalf("exit code %d\n%s", code, &errs)
		}
		return out.String()
	}
	if got := strings.Count(list(), "\n"); got != 3 {
		t.Errorf("%d lines; want a head and two verdicts", got)
	}
	var got []verdict
	for line := range strings.Lines(list("--json")) {
		var v verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	want := []verdict{
		{JobID: 1, Verdict: "up", Person: first, Reaction: "+1", At: now.Add(-48 * time.Hour), Link: "https://a.test/", Reply: "https://team.slack.com/archives/C1/p2000001"},
		{JobID: 1, Verdict: "down", Person: second, Reaction: "-1", At: now.Add(-time.Hour), Link: "https://a.test/", Reply: "https://team.slack.com/archives/C1/p2000001"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if recent := list("--json", "--since", "1d"); strings.Count(recent, "\n") != 1 || !strings.Contains(recent, second) {
		t.Error(recent)
	}
	if strings.Contains(list(), "U0123456789") {
		t.Error("the list names people")
	}
}

// A reaction that Slack delivers to a running worker is a verdict.
func TestASignedReactionIsAVerdict(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	m := commentator.Message{Channel: "C0123456789", TS: "1.000000", ReceivedAt: time.Now()}
	if _, _, err := s.Ingest(t.Context(), m, []string{"https://a.test/"}, false, func(context.Context, *sql.Tx, int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	_, err = s.DB().Exec(`INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts) VALUES (1, 0, 'C0123456789', '1.000000', 1, 0, '2.000000')`)
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	environ := []string{"DB_PATH=" + path, "SLACK_SIGNING_SECRET=of the test", "SLACK_EVENTS_ADDR=127.0.0.1:0"}
	worker := startServe(t, environ)
	address := await(t, `"msg":"taking events over HTTP","address":"([^"]+)"`, worker.log.String)
	list := func() string {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"feedback", "list", "--json"}, environ, strings.NewReader(""), &out, io.Discard); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		return out.String()
	}
	post := func(file string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			var out bytes.Buffer
			log := &lines{}
			code := run(t.Context(), []string{"replay", "--event", file, "--to", address}, environ, strings.NewReader(""), &out, log)
			if code == exitOK {
				return
			}
			// On a busy machine there may have been no time to write the event: it is to be sent again.
			if !strings.HasPrefix(out.String(), "503 ") || time.Now().After(deadline) {
				t.Fatalf("exit code %d\n%s%s", code, &out, log)
			}
		}
	}
	for i, kind := range []string{"reaction_added", "reaction_removed", "reaction_added"} {
		event := fmt.Sprintf(`{"type":"event_callback","event_id":"Ev%d","event":{"type":%q,"user":"U0123456789","reaction":"+1::skin-tone-2",
			"item":{"type":"message","channel":"C0123456789","ts":"2.000000"},"event_ts":"3.%06d"}}`, i, kind, i)
		file := filepath.Join(dir, "event.json")
		if err := os.WriteFile(file, []byte(event), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // Slack delivers it once more
			post(file)
		}
		if got := strings.Contains(list(), `"verdict":"up"`); got != (kind == "reaction_added") {
			t.Errorf("after %s: %s", kind, list())
		}
	}
	worker.stop()
	worker.ended(t)
}
