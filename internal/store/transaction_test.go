package store

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
)

// commits counts the transactions in SQLite's write-ahead log: the frames that say how large
// the database is afterwards (https://www.sqlite.org/fileformat2.html#the_write_ahead_log). A
// log that begins anew leaves frames of older ones behind it, which have other salts.
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	log, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const header, frameHeader = 32, 24
	page := int(binary.BigEndian.Uint32(log[8:]))
	salts := log[16:24]
	for at := header; at+frameHeader+page <= len(log) && bytes.Equal(log[at+8:at+16], salts); at += frameHeader + page {
		if binary.BigEndian.Uint32(log[at+4:]) != 0 {
			n++
		}
	}
	return n
}

// A worker that dies at any moment leaves a stage with its message or neither.
func TestAStageAndItsMessageAreOneTransaction(t *testing.T) {
	path := dbPath(t)
	s := open(t, path)
	a := begin(t, s, newJob(t, s).ID)
	before := commits(t, path)
	if before == 0 {
		t.Fatal("the log has no transactions")
	}
	if err := s.CommitStage(t.Context(), a.Job, record(commentator.StageRetrieval), body("retrieval", "x"), nil); err != nil {
		t.Fatal(err)
	}
	if n := commits(t, path) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	if got := column[int](t, s, `SELECT count(*) FROM outbox WHERE kind = 'retrieval'`); got[0] != 1 {
		t.Errorf("%d messages, want 1", got[0])
	}
}
