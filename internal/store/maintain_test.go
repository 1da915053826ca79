package store

import (
	"os"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

func walSize(t *testing.T, s *Store) int64 {
	t.Helper()
	info, err := os.Stat(s.Path() + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// writeJobs lets jobs write n messages of 1 MiB.
func writeJobs(t *testing.T, s *Store, n int, after func()) {
	t.Helper()
	msg := telemetry.Message{Kind: "retrieval", Body: []byte(strings.Repeat("x", 1<<20)), Size: 1 << 20}
	for range n {
		a := begin(t, s, newJob(t, s).ID)
		if err := s.CommitStage(t.Context(), a.Job, record(commentator.StageRetrieval), msg, nil); err != nil {
			t.Fatal(err)
		}
		after()
	}
}

func TestCheckpointsKeepTheWriteAheadLogSmall(t *testing.T) {
	s := open(t, dbPath(t))
	var largest int64
	writeJobs(t, s, 40, func() {
		largest = max(largest, walSize(t, s))
		if err := s.checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if largest > 2*checkpointFrom {
		t.Errorf("the log grew to %d bytes", largest)
	}
	if s.Stats().Checkpoints < 5 {
		t.Errorf("stats %+v", s.Stats())
	}
}

func TestALogThatReadersKeptLongStartsOver(t *testing.T) {
	s := open(t, dbPath(t))
	runJob(t, s)
	reading, err := s.Reader().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Rollback()
	if err := reading.QueryRow(`SELECT id FROM jobs`).Scan(new(int64)); err != nil {
		t.Fatal(err)
	}
	// The reader makes no writer fail, however large the log gets.
	writeJobs(t, s, 36, func() {
		if err := s.checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if size := walSize(t, s); size < walMax {
		t.Fatalf("the reader did not keep the log: %d bytes", size)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	runJob(t, s)
	if size := walSize(t, s); size > walKeep {
		t.Errorf("the log still has %d bytes", size)
	}
}

func TestCloseLeavesNoLogBehind(t *testing.T) {
	path := dbPath(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	runJob(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log is still there: %v", err)
	}
}
