//go:build linux

package main

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"github.com/technoshare/commentator/internal/store"
)

// TestWhatIsThereByHalvesIsSeen: a stage, a start and an end without their message, a message
// without its stage, and none of them once the other half is there.
func TestWhatIsThereByHalvesIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	st, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	writer, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	m, err := newMoments(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.db.Close()

	const (
		job     = `INSERT INTO jobs (message_id, created_at, started_at, detail, state) VALUES (1, 1, 1, 'full', 'running')`
		silent  = `INSERT INTO jobs (message_id, created_at, started_at, detail, state) VALUES (1, 1, 1, 'off', 'running')`
		stage   = `INSERT INTO stages (job_id, stage, attempt, started_at, ended_at) SELECT 1, 'stage_a', 1 + count(*), 1, 2 FROM stages`
		quiet   = `INSERT INTO stages (job_id, stage, attempt, started_at, ended_at) VALUES (2, 'stage_a', 1, 1, 2)`
		final   = `UPDATE jobs SET state = 'final', outcome = 'success', finished_at = 3`
		verdict = `INSERT INTO outbox (job_id, kind, created_at, body, size) VALUES (1, 'feedback', 1, x'00', 1)`
	)
	message := func(kind string) string {
		return `INSERT INTO outbox (job_id, kind, created_at, body, size) VALUES (1, '` + kind + `', 1, x'00', 1)`
	}
	s := newSeen()
	for i, step := range []struct {
		writes []string
		halves []told
	}{
		{[]string{`INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (1, 'C', '1', 1)`}, nil},
		{[]string{job}, []told{{1, "job started"}}},
		{[]string{message("job started"), silent, quiet}, nil},
		{[]string{stage, message("stage_a")}, nil},
		{[]string{stage}, []told{{1, "stage_a"}}},
		{[]string{message("stage_a")}, nil},
		{[]string{message("stage_b")}, []told{{1, "stage_b"}}},
		{[]string{final}, []told{{1, "process jobs"}}},
		{[]string{message("process jobs"), verdict}, nil},
	} {
		for _, write := range step.writes {
			if _, err := writer.ExecContext(t.Context(), write); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		halves, err := s.look(t.Context(), m.db)
		if err != nil || !slices.Equal(halves, step.halves) {
			t.Errorf("step %d: %v, %v; want %v", i, halves, err, step.halves)
		}
		m.note(halves)
	}
	if n, torn := m.all(); n != 9 || len(torn) != 4 {
		t.Errorf("%d moments, %v; want 9 with 4 findings", n, torn)
	}
}
