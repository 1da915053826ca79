package validate

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/dbtest"
)

func TestShareAboveAnotherIsNoChance(t *testing.T) {
	for _, c := range []struct {
		now, before Share
		above       bool
	}{
		{Share{20, 0}, Share{20, 0}, false},
		{Share{20, 1}, Share{20, 0}, true}, // none ever failed
		{Share{20, 2}, Share{20, 1}, false},
		{Share{20, 12}, Share{100, 5}, true},
		{Share{1000, 60}, Share{1000, 50}, false},
		{Share{1000, 80}, Share{1000, 50}, true},
		{Share{0, 0}, Share{10, 1}, false},
	} {
		if got := c.now.Above(c.before); got != c.above {
			t.Errorf("%s is above %s: %v", c.now, c.before, got)
		}
	}
}

func TestDeploymentIsReadFromItsJobs(t *testing.T) {
	now := time.Date(2026, 11, 26, 6, 0, 0, 0, time.UTC)
	database := dbtest.New(t)
	if !dbtest.Postgres() {
		if d, err := ReadDeployment(t.Context(), filepath.Join(t.TempDir(), "none.sqlite"), now); err != nil || d.Known {
			t.Errorf("without a database: %+v, %v", d, err)
		}
	}
	s, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(statement string) {
		t.Helper()
		if _, err := s.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	write(`INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (1, 'C', '1', 1)`)
	add := func(outcome, detail string, age time.Duration, kills int) {
		at := strconv.FormatInt(now.Add(-age).UnixMicro(), 10)
		write(`INSERT INTO jobs (message_id, state, outcome, detail, kills, created_at, finished_at) VALUES (1, 'final', '` +
			outcome + `', '` + detail + `', ` + strconv.Itoa(kills) + `, ` + at + `, ` + at + `)`)
	}
	const day = 24 * time.Hour
	add("success", "full", day, 2)
	add("error", "tracking", day, 0)
	add("cancelled", "tracking", day, 9)
	add("error", "off", 30*day, 5)
	add("success", "", 31*day, 0)
	write(`INSERT INTO jobs (message_id, created_at) VALUES (1, 1)`)

	d, err := ReadDeployment(t.Context(), database, now)
	if err != nil {
		t.Fatal(err)
	}
	if (d.Recorded != Share{2, 1}) || (d.Unrecorded != Share{2, 1}) || (d.Week != Share{2, 1}) || d.Kills != 2 || !d.Known {
		t.Errorf("read %+v", d)
	}
	if dbtest.Postgres() != (d.Disk == nil) {
		t.Errorf("disk %+v", d.Disk)
	}
	if d.Disk != nil && (d.Disk.Database == 0 || d.Disk.Free == 0 || d.Disk.Free > d.Disk.Total) {
		t.Errorf("disk %+v", d.Disk)
	}
}
