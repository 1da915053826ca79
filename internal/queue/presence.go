package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/technoshare/commentator/internal/pause"
)

// The keys of PostgreSQL's advisory locks, for each schema of a database its own.
const (
	presenceClass = `hashtext('commentator/worker/' || current_schema())`
	presenceKey   = presenceClass + `, hashtext($1)`
	workKey       = `hashtextextended('commentator/work/' || current_schema(), 0)`
)

// How often a presence makes sure that its connection lasts, which also bounds how long that may
// take, and how long it waits before it tries to connect again.
const (
	presencePing  = 5 * time.Second
	presenceRetry = time.Second
)

// presence shows the other processes that work on a PostgreSQL database that this one lives: it
// holds locks on a connection of its own, which the server gives back when the process ends,
// however it ends.
type presence struct {
	cfg    Config
	name   string
	conn   *pgx.Conn
	cancel context.CancelFunc
	done   chan struct{}
}

// appear makes a process present.
func appear(ctx context.Context, cfg Config, name string) (*presence, error) {
	p := &presence{cfg: cfg, name: name, done: make(chan struct{})}
	wait, stopWaiting := context.WithTimeout(ctx, cfg.LockWait)
	defer stopWaiting()
	for {
		conn, err := p.connect(ctx)
		if err == nil {
			p.conn = conn
			break
		}
		if !errors.Is(err, ErrLocked) {
			return nil, err
		}
		if pause.For(wait, lockPoll) != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	go func() {
		defer close(p.done)
		p.keep(background)
	}()
	return p, nil
}

// connect returns a connection that holds the locks.
func (p *presence) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, p.cfg.Address)
	if err != nil {
		return nil, err
	}
	try := `SELECT pg_try_advisory_lock_shared(` + workKey + `)`
	if p.cfg.Alone {
		try = `SELECT pg_try_advisory_lock(` + workKey + `)`
	}
	var may bool
	err = conn.QueryRow(ctx, try).Scan(&may)
	if err == nil && !may {
		err = fmt.Errorf("%w; stop it, or leave the work to it (`commentator replay --enqueue`), or set DATABASE_URL to another database", ErrLocked)
	}
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT pg_advisory_lock_shared(`+presenceKey+`)`, p.name)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}

// keep connects again whenever the connection is lost. Until then others may take this process
// for gone and work on its jobs; the job database refuses what this one then writes.
func (p *presence) keep(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.lasts(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		p.cfg.Logger.WarnContext(ctx, "connection to PostgreSQL is lost", "err", err)
		_ = p.conn.Close(ctx) // it is broken
		for ctx.Err() == nil {
			conn, err := p.connect(ctx)
			if err == nil {
				p.conn = conn
				p.cfg.Logger.WarnContext(ctx, "connection to PostgreSQL is back")
				break
			}
			_ = pause.For(ctx, presenceRetry) // the loop asks ctx
		}
	}
}

// lasts returns when the connection is lost, or after presencePing without an error.
func (p *presence) lasts(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, presencePing)
	defer cancel()
	// Nobody notifies: it ends with its time, or when the server closes the connection.
	if _, err := p.conn.WaitForNotification(wait); !pgconn.Timeout(err) {
		return err
	}
	ping, cancel := context.WithTimeout(ctx, presencePing)
	defer cancel()
	return p.conn.Ping(ping)
}

// end makes the process gone.
func (p *presence) end() error {
	p.cancel()
	<-p.done
	// Close waits for no answer: until the server comes to it, others would find the locks held.
	soon, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_, _ = p.conn.Exec(soon, `SELECT pg_advisory_unlock_all()`) // a broken connection holds none
	ctx, cancel := context.WithTimeout(context.Background(), presencePing)
	defer cancel()
	if err := p.conn.Close(ctx); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// Workers counts the processes that work the jobs of a PostgreSQL database off; Busy is for a
// SQLite file.
func Workers(ctx context.Context, db *sql.DB) (n int, err error) {
	err = db.QueryRowContext(ctx, `
		SELECT count(DISTINCT pid) FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND mode = 'ShareLock'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND classid::bigint = `+presenceClass+`::bigint & 4294967295`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("look for workers: %w", err)
	}
	return n, nil
}
