package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/test/dbtest"
)

// Whoever only looks sees what a worker's store holds, while it is open, and changes nothing.
func TestWhoOnlyLooksSeesWhatIsThere(t *testing.T) {
	database := dbtest.New(t)
	if _, err := OpenReadOnly(t.Context(), database); !errors.Is(err, ErrNoDatabase) {
		t.Fatalf("nothing is there: %v", err)
	}
	s, err := Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, statement := range []string{
		`INSERT INTO messages (channel_id, message_ts, received_at) VALUES ('C0', '1.0', 1)`,
		`INSERT INTO jobs (message_id, created_at) VALUES (1, 1)`,
		`INSERT INTO stages (job_id, stage, attempt, started_at, ended_at, analysis) VALUES
			(1, 'stage_a', 1, 1, 2, '{"prompt_name":"a","prompt_sha256":"00"}'), (1, 'stage_a', 2, 1, 2, '{"prompt_name":"a","prompt_sha256":"00"}'),
			(1, 'stage_b', 2, 1, 2, '{"prompt_name":"a","prompt_sha256":"11"}'), (1, 'quality_gates', 2, 1, 2, NULL)`,
	} {
		if _, err := s.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenReadOnly(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Status(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" || got.Pending != 1 {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if damage, err := r.Integrity(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("it is whole: %v, %v", damage, err)
	}
	prompts, err := r.PromptsUsed(t.Context())
	if diff := cmp.Diff([]PromptUse{{"a", "00", 2, 1}, {"a", "11", 1, 1}}, prompts); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if r.Name() != s.Path() || r.LockPath() != s.LockPath() || r.File() == isPostgres(database) {
		t.Errorf("%s, %s", r.Name(), r.LockPath())
	}
	if _, err := r.Reader().ExecContext(t.Context(), `DELETE FROM jobs`); err == nil {
		t.Error("it deletes")
	}
}
