package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/store"
)

// exec runs a statement on a job database.
func exec(ctx context.Context, t *testing.T, s *store.Store, statement string, args ...any) {
	t.Helper()
	if _, err := s.DB().ExecContext(ctx, statement, args...); err != nil {
		t.Fatal(err)
	}
}

// waiting puts messages into the outbox that wait since a time ago.
func waiting(ctx context.Context, t *testing.T, s *store.Store, n, bytes int, ago time.Duration) {
	t.Helper()
	for range n {
		exec(ctx, t, s, `INSERT INTO outbox (job_id, kind, created_at, body, size) VALUES (1, 'stage_a', ?, zeroblob(?), 0)`, time.Now().Add(-ago).UnixMicro(), bytes)
	}
}

func TestWhatWaitsInTheOutboxIsNamed(t *testing.T) {
	for _, c := range []struct {
		name   string
		fill   func(ctx context.Context, s *store.Store)
		limit  string
		status Status
		found  string
	}{
		{"nothing", nil, "", OK, "nothing waits"},
		{"just now", func(ctx context.Context, s *store.Store) { waiting(ctx, t, s, 2, 100, time.Second) }, "", OK, "2 messages wait, 200 B of 1.1 GB"},
		{"for a while", func(ctx context.Context, s *store.Store) { waiting(ctx, t, s, 2, 100, 10*time.Minute) }, "", Warn, "the oldest for 10m"},
		{"for long", func(ctx context.Context, s *store.Store) { waiting(ctx, t, s, 2, 100, 7*time.Hour) }, "", Fail, "the oldest for 7h"},
		{"full", func(ctx context.Context, s *store.Store) { waiting(ctx, t, s, 16, 1<<20, time.Second) }, "16777216", Fail, "16.8 MB of 16.8 MB"},
		{"set aside", func(ctx context.Context, s *store.Store) {
			waiting(ctx, t, s, 1, 100, time.Hour)
			exec(ctx, t, s, `UPDATE outbox SET refused_at = created_at, error = 'message too large'`)
		}, "", Warn, "1 message was set aside, the last one since the Collector said: message too large"},
		{"lost", func(ctx context.Context, s *store.Store) {
			exec(ctx, t, s, `INSERT INTO meta (key, value) VALUES ('outbox_losses', '{"evicted":3}')`)
		}, "", OK, "were lost: evicted 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if c.limit != "" {
				r.set("OUTBOX_MAX_BYTES=" + c.limit)
			}
			r.database(t, c.fill)
			names(t, r.probe(t, "outbox"), c.status, c.found)
		})
	}
}

// job puts a job that waits into a database.
func job(ctx context.Context, t *testing.T, s *store.Store) {
	t.Helper()
	exec(ctx, t, s, `INSERT INTO messages (channel_id, message_ts, received_at) VALUES ('C0', '1.0', 1)`)
	exec(ctx, t, s, `INSERT INTO jobs (message_id, created_at) VALUES (1, 1)`)
}

func TestJobsWithoutAWorkerAreNamed(t *testing.T) {
	r := newRig(t)
	names(t, r.probe(t, "database"), Skip, "there is no job database ./db.sqlite yet")
	if _, err := os.Stat(filepath.Join(r.dir, "db.sqlite")); err == nil {
		t.Fatal("doctor made a database")
	}
	path := r.database(t, func(ctx context.Context, s *store.Store) { job(ctx, t, s) })
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names(t, r.probe(t, "database"), Warn, "1 job waits or runs, 0 ended, no worker runs", "commentator serve")
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Unlock() }()
	names(t, r.probe(t, "database"), OK, "is whole; 1 job waits or runs, 0 ended, a worker runs")
	after, err := os.ReadFile(path)
	if err != nil || string(before) != string(after) {
		t.Errorf("the file changed: %v", err)
	}
}

func TestADamagedDatabaseIsNamed(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, path string)
		found  string
		fix    string
	}{
		{"page overwritten", func(t *testing.T, path string) {
			overwrite(t, path, 3*4096, 20*4096)
		}, "damaged", "put a backup in its place"},
		{"cut off", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err == nil {
				err = os.Truncate(path, info.Size()/2)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "damaged", "put a backup in its place"},
		{"not a database", func(t *testing.T, path string) { overwrite(t, path, 0, 100) }, "not a SQLite database", "backup"},
		{"rows without their parents", func(t *testing.T, path string) {
			raw(t, path, `PRAGMA foreign_keys = 0`, `INSERT INTO jobs (message_id, created_at) VALUES (77, 1)`)
		}, "rows of table jobs refer to rows that are gone", "backup"},
		{"index without its rows", func(t *testing.T, path string) {
			raw(t, path, `PRAGMA writable_schema = 1`, `UPDATE sqlite_master SET sql = replace(sql, '(message_id)', '(url)') WHERE name = 'jobs_message'`)
		}, "jobs_message", "backup"},
		{"table overwritten", func(t *testing.T, path string) {
			for _, page := range pages(t, path, "jobs") {
				overwrite(t, path, (page-1)*4096, page*4096)
			}
		}, "db.sqlite: not a SQLite database, or a damaged one", "put a backup in its place"},
		{"of the old deployment", func(t *testing.T, path string) {
			raw(t, path, `DROP TABLE meta`)
		}, "job database of the earlier Python deployment", "The text says"},
		{"of a newer release", func(t *testing.T, path string) {
			raw(t, path, `UPDATE meta SET value = '99' WHERE key = 'schema_version'`)
		}, "written by a newer release", "The text says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			path := r.database(t, func(ctx context.Context, s *store.Store) {
				job(ctx, t, s)
				waiting(ctx, t, s, 100, 3000, time.Second) // pages that can be damaged
			})
			c.damage(t, path)
			names(t, r.probe(t, "database"), Fail, c.found, c.fix)
			if got := r.report(t, "outbox"); got.Probes[0].ID != "database" || got.Status != Fail {
				t.Errorf("who asks for the outbox is not told: %+v", got)
			}
		})
	}
}

// pages are the first ones of a table and of its indexes, counted from 1.
func pages(t *testing.T, path, table string) (found []int64) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT rootpage FROM sqlite_master WHERE tbl_name = ? AND rootpage > 0`, table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var page int64
		if err := rows.Scan(&page); err != nil {
			t.Fatal(err)
		}
		found = append(found, page)
	}
	if err := rows.Err(); err != nil || len(found) == 0 {
		t.Fatalf("pages of %s: %v, %v", table, found, err)
	}
	return found
}

func overwrite(t *testing.T, path string, from, to int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	garbage := make([]byte, to-from)
	for i := range garbage {
		garbage[i] = byte(i*7 + 13)
	}
	if _, err := f.WriteAt(garbage, from); err != nil {
		t.Fatal(err)
	}
}

// raw changes a file behind the program's back.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestADatabaseThatCannotBeReachedIsNamed(t *testing.T) {
	r := newRig(t, "DATABASE_URL=postgres://user:password@"+closed(t)+"/jobs")
	names(t, r.probe(t, "database"), Fail, "PostgreSQL cannot be reached")
}

func TestADirectoryThatIsNotThereIsNamed(t *testing.T) {
	r := newRig(t, "DB_PATH=typo/db.sqlite")
	names(t, r.probe(t, "database"), Fail, "there is no directory "+filepath.Join(r.dir, "typo"), "Create the directory, or set DB_PATH")
	names(t, r.probe(t, "disk"), Warn, "job database: look at the disk of "+filepath.Join(r.dir, "typo"))
	// It does not hide another one that is full.
	if err := os.Mkdir(filepath.Join(r.dir, "queue"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.set("OTELCOL_DATA_DIR=queue")
	r.limits.DiskFail = 1 << 60
	names(t, r.probe(t, "disk"), Fail, "Collector's queue: ")
}

func TestAFullDiskIsNamed(t *testing.T) {
	r := newRig(t)
	r.database(t, nil)
	disk, err := readDisk(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		warn, fail int64
		outbox     int64
		want       Status
		found      string
	}{
		{"room enough", 1, 1, 16 << 20, OK, "free in "},
		{"little room", 1 << 60, 1, 16 << 20, Warn, "job database: "},
		{"no room for the outbox", 1, 1, disk.free + 1<<40, Warn, "the outbox may still take " + bytesize.Format(disk.free+1<<40)},
		{"full", 1, 1 << 60, 16 << 20, Fail, "job database: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.set(fmt.Sprintf("OUTBOX_MAX_BYTES=%d", c.outbox))
			r.limits.DiskWarn, r.limits.DiskFail = c.warn, c.fail
			names(t, r.probe(t, "disk"), c.want, c.found)
		})
	}
	if os.Getuid() == 0 {
		return // who may write everywhere
	}
	r.limits = Limits{DiskWarn: 1, DiskFail: 1}
	if err := os.Chmod(r.dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(r.dir, 0o700) }()
	names(t, r.probe(t, "disk"), Fail, "cannot be written")
}
