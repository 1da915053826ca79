package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

func exec(t *testing.T, s *Store, statement string) {
	t.Helper()
	if _, err := s.DB().Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// column returns what a query for one column finds.
func column[T any](t rapid.TB, s *Store, query string, args ...any) []T {
	t.Helper()
	values, err := list(context.Background(), s.reader, query, args, scanValue[T])
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// runJob takes a job from its start to its end.
func runJob(t *testing.T, s *Store) commentator.Job {
	t.Helper()
	a := begin(t, s, newJob(t, s).ID)
	commit(t, s, a.Job, commentator.StageRetrieval)
	return finish(t, s, a.Job, commentator.OutcomeSuccess)
}

func TestAFailingOutboxNeverFailsAJob(t *testing.T) {
	const every = `CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT raise(%s, 'outbox broken'); END`
	triggers := map[string]string{"ABORT": fmt.Sprintf(every, "ABORT"), "FAIL": fmt.Sprintf(every, "FAIL")}
	mended := `DROP TRIGGER broken`
	if dbtest.Postgres() {
		mended += ` ON outbox`
		triggers = map[string]string{"EXCEPTION": `
			CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'outbox broken'; END $$;
			CREATE TRIGGER broken BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION break_it()`}
	}
	for action, trigger := range triggers {
		t.Run(action, func(t *testing.T) {
			s := newStore(t)
			exec(t, s, trigger)
			decisions := 0
			decide := func(j commentator.Job, m commentator.Message) commentator.Decision {
				decisions++
				return full(j, m)
			}
			first, err := s.BeginAttempt(t.Context(), newJob(t, s).ID, start, decide, startedMessage)
			if err != nil || decisions != 1 || first.Job.Detail != commentator.DetailFull {
				t.Errorf("decided %d times, %+v, %v", decisions, first.Job, err)
			}
			commit(t, s, first.Job, commentator.StageRetrieval)
			j := finish(t, s, first.Job, commentator.OutcomeSuccess)
			if j.Outcome != commentator.OutcomeSuccess {
				t.Errorf("job %+v", j)
			}
			if records, err := s.Stages(t.Context(), j.ID); len(records) != 1 || err != nil {
				t.Errorf("stages %v, %v", records, err)
			}
			if got := s.Stats(); got.OutboxWriteFailed != 3 || got.OutboxStored != 0 || got.OutboxBytes != 0 {
				t.Errorf("stats %+v", got)
			}
			exec(t, s, mended)
			runJob(t, s)
			if got := s.Stats(); got.OutboxWriteFailed != 3 || got.OutboxStored != 3 || len(kinds(t, s)) != 3 {
				t.Errorf("after the repair: %+v, messages %v", got, kinds(t, s))
			}
		})
	}
}

func TestAMessageThatDoesNotFitOnTheDiskDoesNotFailAJob(t *testing.T) {
	s := open(t, dbPath(t))
	a := begin(t, s, newJob(t, s).ID)
	var pages int
	if err := s.DB().QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	exec(t, s, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+2)) // room for the record, not for the message
	big := telemetry.Message{Kind: "retrieval", Body: []byte(strings.Repeat("x", 1<<20)), Size: 1 << 20}
	if err := s.CommitStage(t.Context(), a.Job, record(commentator.StageRetrieval), big, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.OutboxWriteFailed != 1 || got.OutboxBytes != int64(len("started")) {
		t.Errorf("stats %+v", got)
	}
	if records, err := s.Stages(t.Context(), a.Job.ID); len(records) != 1 || err != nil {
		t.Errorf("stages %v, %v", records, err)
	}
}

func TestAMessageThatCannotBeMadeDoesNotFailAJob(t *testing.T) {
	s := newStore(t)
	broken := errors.New("too large")
	a, err := s.BeginAttempt(t.Context(), newJob(t, s).ID, start, full,
		func(commentator.Job, commentator.Message) (telemetry.Message, error) {
			return telemetry.Message{}, broken
		})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Finish(t.Context(), a.Job, Ending{Outcome: commentator.OutcomeSuccess, At: start},
		func(commentator.Job, commentator.Message, []commentator.StageRecord) (telemetry.Message, error) {
			return telemetry.Message{}, broken
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.OutboxBuildFailed != 2 || got.OutboxStored != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestTheRelayReadsInOrderAndInBatches(t *testing.T) {
	s := newStore(t)
	j := begin(t, s, newJob(t, s).ID).Job // "job started", size 70
	for i, stage := range commentator.Stages {
		msg := telemetry.Message{Kind: string(stage), Body: []byte{byte(i)}, Size: 100}
		if err := s.CommitStage(t.Context(), j, record(stage), msg, nil); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(after int64, maxBytes int) []int64 {
		rows, err := s.Unsent(t.Context(), after, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		ids := []int64{}
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		return ids
	}
	for _, tt := range []struct {
		after    int64
		maxBytes int
		want     []int64
	}{
		{0, 1000, []int64{1, 2, 3, 4, 5, 6}},
		{0, 270, []int64{1, 2, 3}},
		{0, 269, []int64{1, 2}},
		{0, 1, []int64{1}}, // at least one
		{4, 1000, []int64{5, 6}},
		{6, 1000, []int64{}},
	} {
		if diff := cmp.Diff(tt.want, ids(tt.after, tt.maxBytes)); diff != "" {
			t.Errorf("after %d, %d bytes: %s", tt.after, tt.maxBytes, diff)
		}
	}
	rows, bytes, oldest, err := s.Depth(t.Context())
	if rows != 6 || bytes != int64(len("started"))+5 || !oldest.Equal(start.Truncate(time.Microsecond)) || err != nil {
		t.Errorf("depth %d, %d bytes, %v, %v", rows, bytes, oldest, err)
	}

	if err := s.MarkSent(t.Context(), []int64{1, 3}, start); err != nil {
		t.Fatal(err)
	}
	if err := s.Refuse(t.Context(), 4, "invalid argument", start); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{2, 5, 6}, ids(0, 1000)); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(s.Refuse(t.Context(), 1, "late", start), s.MarkSent(t.Context(), nil, start),
		s.MarkSent(t.Context(), []int64{2, 5, 6, 99}, start)); err != nil {
		t.Fatal(err)
	}
	if s.Stats().OutboxRefused != 1 {
		t.Errorf("stats %+v", s.Stats())
	}
	rows, bytes, oldest, err = s.Depth(t.Context())
	if rows != 0 || bytes != 0 || !oldest.IsZero() || err != nil {
		t.Errorf("depth %d, %d bytes, %v, %v", rows, bytes, oldest, err)
	}
}

func TestTheOutboxIsBoundedAndGivesUpSentMessagesFirst(t *testing.T) {
	const size = 100
	s := newStore(t, WithOutboxLimit(5*size))
	job := ingest(t, s, "1.1", "https://a.test/")[0]
	a, err := s.BeginAttempt(t.Context(), job.ID, start, full,
		func(commentator.Job, commentator.Message) (telemetry.Message, error) { return telemetry.Message{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	add := func(bytes int) {
		t.Helper()
		msg := telemetry.Message{Kind: "x", Body: make([]byte, bytes), Size: bytes}
		err := s.write(t.Context(), func(tx *writeTx) error {
			return s.enqueueMessage(t.Context(), tx, a.Job.ID, func() (telemetry.Message, error) { return msg, nil })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(wantIDs []int64, wantEvicted, wantBytes int64) {
		t.Helper()
		ids := column[int64](t, s, `SELECT id FROM outbox ORDER BY id`)
		if got := s.Stats(); !slices.Equal(ids, wantIDs) || got.OutboxEvicted != wantEvicted || got.OutboxBytes != wantBytes {
			t.Fatalf("messages %v, want %v; stats %+v, want %d evicted, %d bytes", ids, wantIDs, got, wantEvicted, wantBytes)
		}
	}
	for range 5 {
		add(size)
	}
	if err := errors.Join(s.MarkSent(t.Context(), []int64{2, 3}, start), s.Refuse(t.Context(), 4, "no", start)); err != nil {
		t.Fatal(err)
	}
	check([]int64{1, 2, 3, 4, 5}, 0, 5*size)
	add(size) // the oldest sent one goes
	check([]int64{1, 3, 4, 5, 6}, 0, 5*size)
	add(2 * size) // the other sent one, then the refused one
	check([]int64{1, 5, 6, 7}, 1, 5*size)
	add(1) // the oldest unsent one
	check([]int64{5, 6, 7, 8}, 2, 4*size+1)
	add(5*size + 1) // would not fit into an empty outbox
	check([]int64{5, 6, 7, 8}, 2, 4*size+1)
	if s.Stats().OutboxTooLarge != 1 {
		t.Errorf("stats %+v", s.Stats())
	}
	exec(t, s, `DELETE FROM outbox WHERE id = 5`) // by hand
	if err := s.measureOutbox(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	check([]int64{6, 7, 8}, 2, 3*size+1)
}

// The outbox is measured piece by piece, whether its messages end with a piece or in the middle.
func TestALargeOutboxIsMeasuredWhole(t *testing.T) {
	s := newStore(t)
	for _, rows := range []int{0, measured, 2*measured + 1} {
		exec(t, s, `DELETE FROM outbox`)
		for i := range rows { // each second id is missing
			_, err := s.db.ExecContext(t.Context(), `INSERT INTO outbox (id, job_id, kind, created_at, body, size) VALUES (?, 1, 'x', 0, ?, 1)`, 2*i+1, []byte("123"))
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.measureOutbox(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if got := s.Stats().OutboxBytes; got != int64(3*rows) {
			t.Errorf("%d messages of 3 bytes have %d", rows, got)
		}
	}
}

func TestCountsOfARolledBackTransactionAreNotKept(t *testing.T) {
	s := newStore(t)
	a := begin(t, s, newJob(t, s).ID)
	before := s.Stats()
	broken := errors.New("broken")
	err := s.write(t.Context(), func(tx *writeTx) error {
		return errors.Join(s.enqueueMessage(t.Context(), tx, a.Job.ID, func() (telemetry.Message, error) { return body("x", "y"), nil }), broken)
	})
	wantErr(t, err, broken)
	if after := s.Stats(); after != before {
		t.Errorf("stats %+v, before %+v", after, before)
	}
}

func TestSentMessagesAreKeptForAWhile(t *testing.T) {
	s := newStore(t)
	for range 3 {
		runJob(t, s)
	}
	if err := errors.Join(s.MarkSent(t.Context(), []int64{1, 2, 3, 4}, start), s.MarkSent(t.Context(), []int64{5}, start.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if err := s.prune(t.Context(), start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var left, unsent int
	if err := s.Reader().QueryRow(`SELECT count(*), count(*) FILTER (WHERE sent_at IS NULL) FROM outbox`).Scan(&left, &unsent); err != nil {
		t.Fatal(err)
	}
	if left != 5 || unsent != 4 {
		t.Errorf("%d messages left, %d unsent; want 5 and 4", left, unsent)
	}
}

// What was never sent is given up after a time, and counted; what waits for less stays.
func TestMessagesThatNobodyTakesAreGivenUpAfterATime(t *testing.T) {
	now := start
	s := newStore(t, WithClock(func() time.Time { return now }), WithMaxAge(24*time.Hour))
	for range 90 { // with more messages than one batch
		runJob(t, s)
	}
	now = now.Add(time.Hour)
	for range 2 {
		runJob(t, s)
	}
	if err := errors.Join(s.MarkSent(t.Context(), []int64{1, 2, 3}, now), s.Refuse(t.Context(), 4, "no", now)); err != nil {
		t.Fatal(err)
	}
	sweep := func(want int64) {
		t.Helper()
		if err := s.expire(t.Context(), now.Add(-s.maxAge)); err != nil {
			t.Fatal(err)
		}
		if got := s.Stats().OutboxExpired; got != want {
			t.Errorf("%d messages are given up, want %d", got, want)
		}
	}
	now = start.Add(23 * time.Hour)
	sweep(0)
	now = start.Add(24*time.Hour + time.Minute)
	sweep(270 - 3) // the sent ones are none of them
	sweep(270 - 3)
	if got := kinds(t, s); len(got) != 6 {
		t.Errorf("messages %v are left", got)
	}
	if got := s.Stats().Losses(); got["expired"] != 267 || len(got) != 1 {
		t.Errorf("losses %v", got)
	}
}

// The queries of a job's transaction and of the relay find their rows without looking at the
// others, however many wait: a full outbox must not slow down the jobs.
func TestAFullOutboxIsNeverSearchedRowByRow(t *testing.T) {
	s := newStore(t)
	queries := map[string]string{
		"relay": `SELECT id, kind, body, size FROM outbox WHERE id > 5 AND ` + isUnsent + ` ORDER BY id`,
		"prune": `SELECT id FROM outbox WHERE sent_at IS NOT NULL AND sent_at < 7 ORDER BY sent_at LIMIT 200`,
		"last":  `SELECT max(sent_at) FROM outbox WHERE ` + isSent,
	}
	for i, e := range evictions {
		queries[fmt.Sprint("evict ", i)] = e.oldest
	}
	for name, query := range queries {
		if plan := planOf(t, s, query); !strings.Contains(strings.ToUpper(plan), "INDEX ") || !strings.Contains(plan, "outbox_") ||
			strings.Contains(plan, "TEMP") || strings.Contains(plan, "Sort") {
			t.Errorf("%s: %s", name, plan)
		}
	}
}

// planOf returns how the database goes about a query.
func planOf(t *testing.T, s *Store, query string) (plan string) {
	t.Helper()
	if !dbtest.Postgres() {
		var id, parent, unused int
		if err := s.Reader().QueryRow(`EXPLAIN QUERY PLAN `+query).Scan(&id, &parent, &unused, &plan); err != nil {
			t.Fatal(err)
		}
		return plan
	}
	tx, err := s.Reader().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	// A small table is faster to read as a whole.
	if _, err := tx.Exec(`SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off`); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(`EXPLAIN ` + query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan += line + "\n"
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

// The time of an insert that has to make room does not grow with what waits.
func TestMakingRoomCostsTheSameHoweverMuchWaits(t *testing.T) {
	const size, few, many = 6000, 100, 8000
	fill := func(rows int) (takes func() time.Duration) {
		s := newStore(t, WithOutboxLimit(int64(rows*size)))
		a := begin(t, s, newJob(t, s).ID)
		msg := telemetry.Message{Kind: "x", Body: make([]byte, size), Size: size}
		add := func(n int) {
			err := s.write(t.Context(), func(tx *writeTx) error {
				for range n {
					if err := s.enqueueMessage(t.Context(), tx, a.Job.ID, func() (telemetry.Message, error) { return msg, nil }); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		add(rows)
		return func() time.Duration {
			before, at := s.Stats().OutboxEvicted, time.Now()
			add(1)
			took := time.Since(at)
			if s.Stats().OutboxEvicted == before {
				t.Fatal("nothing had to make room")
			}
			return took
		}
	}
	// In turns, so that what else the machine does delays both.
	amongFew, amongMany := fill(few), fill(many)
	a, b := time.Hour, time.Hour
	for range 20 {
		a, b = min(a, amongFew()), min(b, amongMany())
	}
	if b > 20*a+5*time.Millisecond {
		t.Errorf("%v with %d messages, %v with %d", a, few, b, many)
	} else {
		t.Logf("%v with %d messages, %v with %d", a, few, b, many)
	}
}

func TestTheOutboxIsMeasuredWhenTheDatabaseIsOpened(t *testing.T) {
	path := newDatabase(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	runJob(t, s)
	want := s.Stats().OutboxBytes
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, path).Stats().OutboxBytes; got != want || got == 0 {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// Without a message the outbox costs nothing: telemetry that is off.
func TestNoMessageAllocatesNothing(t *testing.T) {
	s := newStore(t)
	var tx writeTx
	none := func() (telemetry.Message, error) { return telemetry.Message{}, nil }
	if n := testing.AllocsPerRun(100, func() {
		if err := s.enqueueMessage(t.Context(), &tx, 1, none); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
