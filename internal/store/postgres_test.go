package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

func TestPostgresIsRefusedWithARemedy(t *testing.T) {
	dbtest.PostgresOnly(t)
	change := func(f func(u *url.URL)) string {
		u, err := url.Parse(os.Getenv(dbtest.Variable))
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), "hush-hush")
		f(u)
		return u.String()
	}
	foreign, odd, newer := newDatabase(t), newDatabase(t), newDatabase(t)
	execAt(t, foreign, `CREATE TABLE experiments (id integer)`)
	execAt(t, odd, `CREATE TABLE meta (key text, value text); INSERT INTO meta VALUES ('schema_version', 'x')`)
	execAt(t, newer, `CREATE TABLE meta (key text, value text); INSERT INTO meta VALUES ('schema_version', '1000')`)
	for _, tt := range []struct {
		name, address string
		err           error
		hint          string
	}{
		{"nobody listens", change(func(u *url.URL) { u.Host = "127.0.0.1:1" }), ErrUnreachable, "start it"},
		{"no such user", change(func(u *url.URL) { u.User = url.UserPassword("nobody-here", "hush-hush") }), ErrUnreachable, "user or the password"},
		{"no such database", change(func(u *url.URL) { u.Path = "/not-there" }), ErrUnreachable, "CREATE DATABASE"},
		{"a standby", change(func(u *url.URL) { u.RawQuery = "default_transaction_read_only=on" }), ErrReadOnly, "primary"},
		{"another program's", foreign, ErrForeign, "DATABASE_URL"},
		{"an odd version", odd, ErrForeign, "DATABASE_URL"},
		{"a newer release's", newer, ErrNewerSchema, "newer release"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.address)
			wantErr(t, err, tt.err)
			if !strings.Contains(err.Error(), tt.hint) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%q does not say %q, or holds the password", err, tt.hint)
			}
		})
	}
}

// besides opens a connection that is not the store's.
func besides(t *testing.T, address string) *sql.DB {
	t.Helper()
	_, config, err := postgresConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	return openPool(config, 1)
}

func execAt(t *testing.T, address, statement string) {
	t.Helper()
	db := besides(t, address)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresNamesItselfWithoutItsPassword(t *testing.T) {
	dbtest.PostgresOnly(t)
	s := newStore(t)
	u, err := url.Parse(os.Getenv(dbtest.Variable))
	if err != nil {
		t.Fatal(err)
	}
	if want := "postgres://" + u.Host + u.Path; s.Path() != want || s.LockPath() != "" || s.Address() == "" {
		t.Errorf("path %q, want %q; lock %q", s.Path(), want, s.LockPath())
	}
	if _, err := s.Reader().Exec(`DELETE FROM jobs`); err == nil {
		t.Error("the reader can write")
	}
}

// Both databases have the same tables and columns.
func TestBothSchemasAreOne(t *testing.T) {
	dbtest.PostgresOnly(t)
	columns := func(s *Store, query string) []string { return column[string](t, s, query) }
	lite, post := open(t, dbPath(t)), newStore(t)
	a := columns(lite, `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`)
	b := columns(post, `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() ORDER BY (table_name || '.' || column_name) COLLATE "C"`)
	if !slices.Equal(a, b) || len(a) < 60 {
		t.Errorf("SQLite %v\nPostgreSQL %v", a, b)
	}
	c := columns(lite, `SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1`)
	d := columns(post, `SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
		AND indexname NOT LIKE '%\_pkey' AND indexname NOT LIKE '%\_key' AND indexname <> 'jobs_retry' ORDER BY indexname COLLATE "C"`)
	if !slices.Equal(c, d) {
		t.Errorf("indexes: SQLite %v\nPostgreSQL %v", c, d)
	}
}

// Jobs of different workers are written at the same time, each with its own transaction, while
// others are made.
func TestJobsOfSeveralProcessesAreWrittenAtOnce(t *testing.T) {
	address := newDatabase(t)
	var wg sync.WaitGroup
	for p := range 4 {
		s := open(t, address)
		wg.Go(func() {
			for i := range 10 {
				m := testMessage(fmt.Sprintf("%d.%d", p, i))
				if _, _, err := s.Ingest(t.Context(), m, []string{"https://a.test/"}, false, noQueue); err != nil {
					t.Error(err)
					return
				}
				shared := testMessage(fmt.Sprintf("shared %d", i))
				jobs, _, err := s.Ingest(t.Context(), shared, []string{"https://b.test/"}, false, noQueue)
				if err != nil || len(jobs) != 1 {
					t.Errorf("%d jobs, %v", len(jobs), err)
					return
				}
				a, err := s.BeginAttempt(t.Context(), jobs[0].ID, start, full, startedMessage)
				if err != nil {
					t.Error(err)
					return
				}
				// Another process may have begun the next attempt: then this one is fenced.
				if err := s.CommitStage(t.Context(), a.Job, record(commentator.StageRetrieval), body("retrieval", "x"), nil); err != nil && !errors.Is(err, ErrFenced) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := open(t, address)
	jobs, err := s.ListJobs(t.Context(), Filter{Limit: -1})
	if err != nil || len(jobs) != 4*10+10 {
		t.Errorf("%d jobs, %v", len(jobs), err)
	}
	started := 0
	for _, kind := range kinds(t, s) {
		if kind == "job started" {
			started++
		}
	}
	if started != 10 {
		t.Errorf("%d jobs have started, want 10", started)
	}
	for _, j := range jobs {
		if j.Attempt > 0 && (j.Attempt != 4 || j.Kills != 3) { // each process began one
			t.Errorf("job %+v", j)
		}
	}
}

// Two relays take different rows at the same time, and together all of them, once.
func TestTwoRelaysNeverHaveTheSameRowAtOnce(t *testing.T) {
	dbtest.PostgresOnly(t)
	address := newDatabase(t)
	first, second := open(t, address), open(t, address)
	const messages = 90
	for range messages / 3 {
		runJob(t, first)
	}
	var mu sync.Mutex
	held, sent := map[int64]bool{}, map[int64]int{}
	relay := func(s *Store) {
		for {
			c, err := s.Claim(t.Context(), 0, 5*70) // a few rows
			if err != nil {
				t.Error(err)
				return
			}
			var ids []int64
			mu.Lock()
			for _, row := range c.Rows() {
				if held[row.ID] {
					t.Errorf("message %d is with two relays", row.ID)
				}
				held[row.ID] = true
				ids = append(ids, row.ID)
				sent[row.ID]++
			}
			mu.Unlock()
			// What is claimed is more than what is returned, so an empty claim is no end.
			left, _, _, err := s.Depth(t.Context())
			if len(ids) > 0 && err == nil {
				err = c.MarkSent(t.Context(), ids, start)
			}
			mu.Lock()
			for _, id := range ids {
				delete(held, id)
			}
			mu.Unlock()
			if err := c.Release(); err != nil {
				t.Error(err)
			}
			if err != nil {
				t.Error(err)
			}
			if left == 0 || t.Failed() {
				return
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { relay(first) })
	wg.Go(func() { relay(second) })
	wg.Wait()
	if len(sent) != messages {
		t.Errorf("%d messages were sent, want %d", len(sent), messages)
	}
	for id, n := range sent {
		if n != 1 {
			t.Errorf("message %d was sent %d times", id, n)
		}
	}
}

// What a relay has is not evicted, not given up, and not seen by another one; when its process
// is gone it is there again.
func TestClaimedRowsAreLeftAloneUntilTheirProcessIsGone(t *testing.T) {
	dbtest.PostgresOnly(t)
	address := newDatabase(t)
	relay, other := open(t, address), open(t, address, WithOutboxLimit(100))
	runJob(t, relay) // three messages
	c, err := relay.Claim(t.Context(), 0, 1<<20)
	if err != nil || len(c.Rows()) != 3 {
		t.Fatalf("claimed %v, %v", c, err)
	}
	theirs, err := other.Claim(t.Context(), 0, 1<<20)
	if err != nil || len(theirs.Rows()) != 0 {
		t.Fatalf("another relay got %v, %v", theirs.Rows(), err)
	}
	if err := theirs.Release(); err != nil {
		t.Fatal(err)
	}
	if err := other.expire(t.Context(), start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	other.counters.bytes.Store(100) // full: the next message would evict the oldest
	runJob(t, other)
	if ids := column[int64](t, other, `SELECT id FROM outbox WHERE id <= 3 ORDER BY id`); !slices.Equal(ids, []int64{1, 2, 3}) {
		t.Errorf("messages %v are left", ids)
	}
	// The server gives back what a connection held that is gone.
	execAt(t, address, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()
		AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'outbox'::regclass)`)
	deadline := time.Now().Add(time.Minute)
	for {
		theirs, err := other.Claim(t.Context(), 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		n := len(theirs.Rows())
		if err := theirs.Release(); err != nil {
			t.Fatal(err)
		}
		if n >= 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d messages came back", n)
		}
		time.Sleep(5 * time.Millisecond) // the server gives no signal
	}
	if err := c.Release(); err == nil {
		t.Error("the claim was released although its connection is gone")
	}
}

// hangUp ends the connection that has written jobs in a transaction, and waits until it is gone.
func hangUp(t *testing.T, address string) {
	t.Helper()
	db := besides(t, address)
	defer db.Close()
	ended := 0
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // the server gives no signal
		var n int
		err := db.QueryRow(`
			SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()
				AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'jobs'::regclass)`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		if ended += n; n == 0 && ended > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections were ended, %d are there", ended, n)
		}
	}
}

// A connection that is lost costs the message of no job: it is stored at the next try, or the job
// does not end.
func TestAJobDoesNotEndWithoutItsMessageWhenTheConnectionIsLost(t *testing.T) {
	dbtest.PostgresOnly(t)
	for _, tt := range []struct {
		losses int
		state  commentator.JobState
		want   []string
	}{
		{1, commentator.JobFinal, []string{"job started", "process jobs"}},
		{2, commentator.JobRunning, []string{"job started"}},
	} {
		t.Run(fmt.Sprintf("%d times", tt.losses), func(t *testing.T) {
			address := newDatabase(t)
			s := open(t, address)
			a := begin(t, s, newJob(t, s).ID)
			left := tt.losses
			ended := func(j commentator.Job, m commentator.Message, records []commentator.StageRecord) (telemetry.Message, error) {
				if left > 0 {
					left--
					hangUp(t, address)
				}
				return endedMessage(j, m, records)
			}
			_, err := s.Finish(t.Context(), a.Job, Ending{Outcome: commentator.OutcomeSuccess, At: start}, ended, nil)
			if (err == nil) != (tt.state == commentator.JobFinal) || left != 0 {
				t.Errorf("error %v, %d connections are still to be lost", err, left)
			}
			if j, err := s.Job(t.Context(), a.Job.ID); err != nil || j.State != tt.state || !slices.Equal(kinds(t, s), tt.want) {
				t.Errorf("the job is %s, messages %v, %v", j.State, kinds(t, s), err)
			}
			if n := s.Stats().OutboxWriteFailed; n != 0 {
				t.Errorf("%d messages were given up", n)
			}
		})
	}
}

// An answer gives a message up at once only when it is about the message.
func TestAMessageIsTriedAgainUnlessItIsToBlame(t *testing.T) {
	dbtest.PostgresOnly(t)
	for _, tt := range []struct {
		code           string
		refusals       int
		tries, givenUp int64
	}{
		{"40001", 1, 2, 0}, {"40P01", 1, 2, 0}, {"57014", 1, 2, 0}, {"57014", 9, 2, 1}, {"23514", 9, 1, 1}, {"53100", 9, 1, 1},
	} {
		t.Run(fmt.Sprintf("%s %d times", tt.code, tt.refusals), func(t *testing.T) {
			s := newStore(t)
			id := newJob(t, s).ID
			exec(t, s, fmt.Sprintf(`
				CREATE SEQUENCE tries;
				CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					IF nextval('tries') <= %d THEN RAISE EXCEPTION 'refused' USING ERRCODE = '%s'; END IF;
					RETURN NEW;
				END $$;
				CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()`, tt.refusals, tt.code))
			begin(t, s, id)
			if tries := column[int64](t, s, `SELECT last_value FROM tries`); tries[0] != tt.tries {
				t.Errorf("%d tries, want %d", tries[0], tt.tries)
			}
			if got := s.Stats(); got.OutboxWriteFailed != tt.givenUp || got.OutboxStored != 1-tt.givenUp {
				t.Errorf("stats %+v", got)
			}
		})
	}
}
