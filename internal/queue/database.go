package queue

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// database is in what the two databases differ for the queue: River's driver, queries of its
// tables, and how one knows that a job which looks like running is nobody's.
type database interface {
	// migrate brings River's tables up to date. Several processes may do so at once.
	migrate(ctx context.Context) error
	// client makes the client that works jobs off.
	client(cfg *river.Config) (client, error)
	// insert puts a job into River's table and complete makes it forget one, as part of a
	// transaction.
	insert(ctx context.Context, tx *sql.Tx, args jobArgs) error
	complete(ctx context.Context, tx *sql.Tx, job *river.Job[jobArgs]) error
	// owns reports whether a job runs in River's table as the try that was given to this process.
	owns(ctx context.Context, job *river.Job[jobArgs]) (bool, error)

	// enter makes this process one that works jobs off, or returns an ErrLocked.
	enter(ctx context.Context) error
	// repair lets the jobs of processes that are gone go on, and takes the leadership from
	// them. It is called after enter, and then in each interval of repairEvery.
	repair(ctx context.Context) error
	repairEvery() time.Duration // 0: never again
	leave() error
	// close frees what was taken to be able to enter.
	close()

	depth(ctx context.Context) (Depth, error)
	// states returns what River holds of jobs: pairs of job id and state, the oldest first.
	states(ctx context.Context, jobs []int64) (*sql.Rows, error)
}

// client is what the queue uses of a river.Client, whatever its driver.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

func newDatabase(cfg Config, log *slog.Logger) (database, error) {
	if cfg.Address != "" {
		return newPostgres(cfg, log)
	}
	return newSQLite(cfg, log), nil
}
