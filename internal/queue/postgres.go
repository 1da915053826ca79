package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	// lookEvery is how often a process looks for jobs whose process is gone.
	lookEvery = time.Second
	// restart is for how long after the start a process of this host that is gone is believed
	// to be the one that this one stands in for.
	restart = 10 * time.Second
)

// riverConnections is how many connections River has for itself, besides one on which it hears
// of new jobs.
const riverConnections = 4

// postgres is a PostgreSQL database, on which any number of processes of any number of hosts
// work. Each is present as long as it lives, see presence; a running job whose process is not
// present is nobody's.
//
// River works on connections of its own. Its driver for transactions of database/sql was never
// published for this version of it, so what a transaction of the job database says to River is
// said in SQL here, as River's clients in other languages do.
type postgres struct {
	cfg  Config
	log  *slog.Logger
	name string // of this process in River's tables: host/unique
	pool *pgxpool.Pool

	present *presence
	entered time.Time
	absent  map[string]time.Time // since when a process is gone that something is left of
}

func newPostgres(cfg Config, log *slog.Logger) (*postgres, error) {
	if cfg.Host == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name this host: %w", err)
		}
		cfg.Host = host
	}
	p := &postgres{cfg: cfg, log: log, name: hostPrefix(cfg.Host) + uuid.NewString()}
	config, err := pgxpool.ParseConfig(cfg.Address)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = riverConnections, 0
	p.pool, err = pgxpool.NewWithConfig(context.Background(), config)
	return p, err
}

// hostPrefix begins the names of all processes of a host. River's tables take 100 bytes.
func hostPrefix(host string) string { return host[:min(len(host), 60)] + "/" }

func (p *postgres) repairEvery() time.Duration { return lookEvery }
func (p *postgres) close()                     { p.pool.Close() }

func (p *postgres) client(cfg *river.Config) (client, error) {
	cfg.ID = p.name
	return river.NewClient(riverpgxv5.New(p.pool), cfg)
}

func (p *postgres) insert(ctx context.Context, tx *sql.Tx, args jobArgs) error {
	encoded, err := json.Marshal(args)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO river_job (kind, args, max_attempts, queue) VALUES ($1, $2::text::jsonb, $3, $4)`,
		jobKind, string(encoded), riverMaxAttempts, river.QueueDefault)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `SELECT pg_notify(current_schema() || '.river_insert', json_build_object('queue', $1::text)::text)`, river.QueueDefault)
	return err
}

// complete leaves a job alone that is no longer running: it was given to another process.
func (p *postgres) complete(ctx context.Context, tx *sql.Tx, job *river.Job[jobArgs]) error {
	_, err := tx.ExecContext(ctx, `UPDATE river_job SET state = 'completed', finalized_at = now() WHERE id = $1 AND state = 'running'`, job.ID)
	return err
}

func (p *postgres) owns(ctx context.Context, job *river.Job[jobArgs]) (owns bool, err error) {
	err = p.cfg.Reader.QueryRowContext(ctx, `
		SELECT state = 'running' AND attempt = $2 AND coalesce(attempted_by[array_length(attempted_by, 1)] = $3, false)
		FROM river_job WHERE id = $1`, job.ID, job.Attempt, p.name).Scan(&owns)
	return owns, err
}

// migrate runs each migration in a transaction of its own, as some of them need, while a lock
// keeps other processes from doing the same.
func (p *postgres) migrate(ctx context.Context) (err error) {
	m, err := rivermigrate.New(riverpgxv5.New(p.pool), &rivermigrate.Config{Logger: p.log})
	if err != nil {
		return err
	}
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	const key = `hashtextextended('commentator/migrate/' || current_schema(), 0)`
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(`+key+`)`); err != nil {
		return err
	}
	defer func() {
		_, unlock := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(`+key+`)`)
		err = errors.Join(err, unlock)
	}()
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func (p *postgres) enter(ctx context.Context) (err error) {
	p.present, err = appear(ctx, p.cfg, p.name)
	p.entered = time.Now()
	return err
}

func (p *postgres) leave() error {
	present := p.present
	p.present = nil
	return present.end()
}

// repair takes a process of this host that is gone for the one that was here before the start,
// and its jobs go on at once. Any other one has to be gone for HostTimeout: it may have lost its
// connection only. River alone would wait until the jobs are stuck (11 min).
func (p *postgres) repair(ctx context.Context) error {
	owners, err := p.owners(ctx)
	if err != nil {
		return err
	}
	now, absent := time.Now(), map[string]time.Time{}
	for _, owner := range owners {
		since, known := p.absent[owner]
		if !known {
			since = now
		}
		here := strings.HasPrefix(owner, hostPrefix(p.cfg.Host)) && now.Sub(p.entered) < restart
		gone, err := p.inherit(ctx, owner, here || now.Sub(since) >= p.cfg.HostTimeout)
		if err != nil {
			return err
		}
		if gone {
			absent[owner] = since
		}
	}
	p.absent = absent
	return nil
}

// owners returns the other processes that something in River's tables belongs to.
func (p *postgres) owners(ctx context.Context) (names []string, _ error) {
	rows, err := p.cfg.Reader.QueryContext(ctx, `
		SELECT attempted_by[array_length(attempted_by, 1)] FROM river_job WHERE state = 'running' AND array_length(attempted_by, 1) > 0
		UNION SELECT leader_id FROM river_leader`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		if name != p.name {
			names = append(names, name)
		}
	}
	return names, rows.Err()
}

// inherit reports whether a process is gone, and if so and if it may, sets free what it had.
func (p *postgres) inherit(ctx context.Context, owner string, may bool) (gone bool, err error) {
	tx, err := p.cfg.DB.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	// The lock that a process holds in its presence; until tx ends it cannot come back.
	if err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock(`+presenceKey+`)`, owner).Scan(&gone); err != nil || !gone || !may {
		return gone, err
	}
	for _, statement := range []string{
		`UPDATE river_job SET state = 'available' WHERE state = 'running' AND attempted_by[array_length(attempted_by, 1)] = $1`,
		`DELETE FROM river_leader WHERE leader_id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, owner); err != nil {
			return gone, err
		}
	}
	return gone, tx.Commit()
}

func (p *postgres) depth(ctx context.Context) (d Depth, err error) {
	var oldest sql.NullTime
	err = p.cfg.Reader.QueryRowContext(ctx, `
		SELECT count(*) FILTER (WHERE state <> 'running'), count(*) FILTER (WHERE state = 'running'),
			min(scheduled_at) FILTER (WHERE state <> 'running' AND scheduled_at <= now())
		FROM river_job WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`).
		Scan(&d.Waiting, &d.Running, &oldest)
	if oldest.Valid {
		d.Oldest = oldest.Time.UTC()
	}
	return d, err
}

func (p *postgres) states(ctx context.Context, jobs []int64) (*sql.Rows, error) {
	return p.cfg.Reader.QueryContext(ctx, `
		SELECT (args ->> 'job_id')::bigint, state::text FROM river_job
		WHERE kind = $1 AND (args ->> 'job_id')::bigint = ANY($2) ORDER BY id`, jobKind, jobs)
}
