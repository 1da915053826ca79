package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// lockPoll is how often Start asks for a lock that another process holds.
const lockPoll = 50 * time.Millisecond

// sqlite is a SQLite file, on which one process works at a time: the one that holds the lock.
type sqlite struct {
	cfg   Config
	log   *slog.Logger
	river *river.Client[*sql.Tx]
	lock  *flock.Flock
}

func newSQLite(cfg Config, log *slog.Logger) *sqlite {
	return &sqlite{cfg: cfg, log: log, lock: flock.New(cfg.LockPath, flock.SetPermissions(0o600))}
}

func (s *sqlite) repairEvery() time.Duration { return 0 }
func (s *sqlite) leave() error               { return s.lock.Unlock() }
func (s *sqlite) close()                     {}

// client makes one that inserts too.
func (s *sqlite) client(cfg *river.Config) (_ client, err error) {
	s.river, err = river.NewClient(riversqlite.New(s.cfg.DB), cfg)
	return s.river, err
}

func (s *sqlite) insert(ctx context.Context, tx *sql.Tx, args jobArgs) error {
	_, err := s.river.InsertTx(ctx, tx, args, nil)
	return err
}

func (s *sqlite) complete(ctx context.Context, tx *sql.Tx, job *river.Job[jobArgs]) error {
	_, err := river.JobCompleteTx[*riversqlite.Driver](ctx, tx, job)
	if errors.Is(err, rivertype.ErrNotFound) {
		return nil // somebody deleted River's row; the job database is the truth
	}
	return err
}

func (s *sqlite) owns(ctx context.Context, job *river.Job[jobArgs]) (owns bool, err error) {
	err = s.cfg.Reader.QueryRowContext(ctx, `SELECT state = 'running' AND attempt = ? FROM river_job WHERE id = ?`, job.Attempt, job.ID).Scan(&owns)
	return owns, err
}

// migrate runs in one transaction that holds the write lock from its start: River alone would
// let two processes create the tables at once.
func (s *sqlite) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(riversqlite.New(s.cfg.DB), &rivermigrate.Config{Logger: s.log})
	if err != nil {
		return err
	}
	tx, err := s.cfg.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	//nolint:staticcheck // deprecated because PostgreSQL cannot batch some migrations; SQLite can
	if _, err := m.MigrateTx(ctx, tx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	return tx.Commit()
}

// enter takes the lock that the operating system gives back when the process ends,
// however it ends, and leaves the process id in its file for whoever is refused.
func (s *sqlite) enter(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, s.cfg.LockWait)
	defer cancel()
	ok, err := s.lock.TryLockContext(wait, lockPoll)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("lock %s: %w", s.cfg.LockPath, err)
	}
	if !ok {
		return fmt.Errorf("%w%s; stop it, or leave the work to it (`commentator replay --enqueue`), or set DB_PATH to another file",
			ErrLocked, lockHolder(s.cfg.LockPath))
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := os.WriteFile(s.cfg.LockPath, []byte(pid), 0o600); err != nil {
		return errors.Join(fmt.Errorf("write lock file: %w", err), s.lock.Unlock())
	}
	return nil
}

func lockHolder(path string) string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	return " (process " + strings.TrimSpace(string(text)) + ")"
}

// repair knows from the lock that no other client runs jobs. River alone would wait for its
// lease (15 s) and then until the jobs are stuck (11 min).
func (s *sqlite) repair(ctx context.Context) error {
	tx, err := s.cfg.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range []string{
		`UPDATE river_job SET state = 'available' WHERE state = 'running'`,
		`DELETE FROM river_leader`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *sqlite) depth(ctx context.Context) (d Depth, err error) {
	var oldest sql.NullFloat64
	err = s.cfg.Reader.QueryRowContext(ctx, `
		SELECT count(*) FILTER (WHERE state <> 'running'), count(*) FILTER (WHERE state = 'running'),
			min(unixepoch(scheduled_at, 'subsec')) FILTER (WHERE state <> 'running' AND unixepoch(scheduled_at, 'subsec') <= unixepoch('subsec'))
		FROM river_job WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`).
		Scan(&d.Waiting, &d.Running, &oldest)
	if oldest.Valid {
		d.Oldest = time.UnixMilli(int64(oldest.Float64 * 1000)).UTC()
	}
	return d, err
}

func (s *sqlite) states(ctx context.Context, jobs []int64) (*sql.Rows, error) {
	ids, err := json.Marshal(jobs)
	if err != nil {
		return nil, err
	}
	return s.cfg.Reader.QueryContext(ctx, `
		SELECT json_extract(args, '$.job_id') AS job, state FROM river_job
		WHERE kind = ? AND job IN (SELECT value FROM json_each(?)) ORDER BY id`, jobKind, string(ids))
}
