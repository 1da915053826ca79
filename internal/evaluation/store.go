package evaluation

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/sqlitefile"
	"github.com/technoshare/commentator/internal/telemetry"
)

//go:embed schema.sql
var schema string

// Store is the database of evaluations, a SQLite file of its own. One process at a time evaluates
// with it; others may look.
type Store struct {
	db   *sql.DB
	id   string
	path string
	lock *flock.Flock // nil: it only looks
}

// ErrBusy means that another process evaluates with the file.
var ErrBusy = errors.New("another process evaluates with this file")

// ErrNoStore means that there is no file, for those who only look.
var ErrNoStore = errors.New("there is no database of evaluations")

// OpenStore opens the file for a process that evaluates, and creates it when it is not there.
func OpenStore(ctx context.Context, path string) (*Store, error) {
	lock := flock.New(path + ".lock")
	free, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if !free {
		return nil, fmt.Errorf("open %s: %w; wait for it, or set EVAL_DB_PATH to another file", path, ErrBusy)
	}
	s, err := open(ctx, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), lock.Unlock())
	}
	s.lock = lock
	if err := s.waitAgain(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// LookAtStore opens a file that must be there.
func LookAtStore(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: %s; run `commentator eval run` first, or set EVAL_DB_PATH", ErrNoStore, path)
	}
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", sqlitefile.Source(abs, q))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &Store{db: db, path: abs}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// prepare makes the tables and the identity of a new file.
func (s *Store) prepare(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, schema); err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('store_id', ?) ON CONFLICT DO NOTHING`, uuid.NewString()); err != nil {
		return err
	}
	return s.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'store_id'`).Scan(&s.id)
}

// ID is the UUID of the file.
func (s *Store) ID() string { return s.id }

// Close closes the file.
func (s *Store) Close() error {
	err := s.db.Close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Unlock())
	}
	return err
}

// Begun is an evaluation as it was begun.
type Begun struct {
	ID        string
	Spec      Spec
	StartedAt time.Time
}

// Begin notes a new evaluation.
func (s *Store) Begin(ctx context.Context, b Begun) error {
	spec, err := json.Marshal(b.Spec)
	if err == nil {
		_, err = s.db.ExecContext(ctx, `INSERT INTO evaluations (id, spec, started_at) VALUES (?, ?, ?)`, b.ID, string(spec), b.StartedAt.UnixMicro())
	}
	if err != nil {
		return fmt.Errorf("begin evaluation: %w", err)
	}
	return nil
}

// Unfinished returns the evaluation that was begun last and not brought to its end; false: there
// is none.
func (s *Store) Unfinished(ctx context.Context) (Begun, bool, error) {
	var b Begun
	var spec string
	var started int64
	err := s.db.QueryRowContext(ctx, `
		SELECT id, spec, started_at FROM evaluations WHERE ended_at IS NULL
		ORDER BY started_at DESC, id LIMIT 1`).Scan(&b.ID, &spec, &started)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return b, false, nil
	case err == nil:
		err = json.Unmarshal([]byte(spec), &b.Spec)
	}
	if err != nil {
		return b, false, fmt.Errorf("look for an unfinished evaluation: %w", err)
	}
	b.StartedAt = time.UnixMicro(started).UTC()
	return b, true, nil
}

// Step is what a stage of a try came to.
type Step struct {
	Result   json.RawMessage
	Analysis commentator.Analysis
	Seconds  float64
}

// SaveStep keeps what was paid for.
func (s *Store) SaveStep(ctx context.Context, evaluation, example string, repetition int, stage commentator.Stage, st Step) error {
	analysis, err := json.Marshal(st.Analysis)
	if err == nil {
		_, err = s.db.ExecContext(ctx, `
			INSERT INTO steps (evaluation_id, example, repetition, stage, result, analysis, seconds) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (evaluation_id, example, repetition, stage) DO UPDATE SET result = excluded.result, analysis = excluded.analysis, seconds = excluded.seconds`,
			evaluation, example, repetition, string(stage), string(st.Result), string(analysis), st.Seconds)
	}
	if err != nil {
		return fmt.Errorf("save %s of example %s: %w", stage, example, err)
	}
	return nil
}

// Steps returns what is known of a try that was not brought to its end.
func (s *Store) Steps(ctx context.Context, evaluation, example string, repetition int) (map[commentator.Stage]Step, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT stage, result, analysis, seconds FROM steps
		WHERE evaluation_id = ? AND example = ? AND repetition = ?`, evaluation, example, repetition)
	if err != nil {
		return nil, fmt.Errorf("read steps of example %s: %w", example, err)
	}
	defer rows.Close()
	out := map[commentator.Stage]Step{}
	for rows.Next() {
		var stage, result, analysis string
		var st Step
		err := rows.Scan(&stage, &result, &analysis, &st.Seconds)
		if err == nil {
			err = json.Unmarshal([]byte(analysis), &st.Analysis)
		}
		if err != nil {
			return nil, fmt.Errorf("read steps of example %s: %w", example, err)
		}
		st.Result = json.RawMessage(result)
		out[commentator.Stage(stage)] = st
	}
	return out, rows.Err()
}

// SaveTry keeps a try with its telemetry, in one transaction.
func (s *Store) SaveTry(ctx context.Context, evaluation string, t Try, msg telemetry.Message, at time.Time) error {
	text, err := json.Marshal(t)
	if err == nil {
		err = s.inTx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `
				INSERT INTO tries (evaluation_id, example, repetition, try) VALUES (?, ?, ?, ?)`,
				evaluation, t.Example, t.Repetition, string(text))
			return errors.Join(err, enqueue(ctx, tx, msg, at))
		})
	}
	if err != nil {
		return fmt.Errorf("save try %d of example %s: %w", t.Repetition, t.Example, err)
	}
	return nil
}

// ForgetTry removes a try that is to be made again.
func (s *Store) ForgetTry(ctx context.Context, evaluation string, t Try) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM tries WHERE evaluation_id = ? AND example = ? AND repetition = ?`, evaluation, t.Example, t.Repetition)
	if err != nil {
		return fmt.Errorf("forget try %d of example %s: %w", t.Repetition, t.Example, err)
	}
	return nil
}

// Tries returns the tries that were brought to their end.
func (s *Store) Tries(ctx context.Context, evaluation string) ([]Try, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT try FROM tries WHERE evaluation_id = ? ORDER BY example, repetition`, evaluation)
	if err != nil {
		return nil, fmt.Errorf("read tries: %w", err)
	}
	defer rows.Close()
	var out []Try
	for rows.Next() {
		var text string
		var t Try
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("read tries: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return nil, fmt.Errorf("read tries: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// Finish keeps the results of an evaluation with its telemetry, in one transaction. What its
// stages came to is not needed any more.
func (s *Store) Finish(ctx context.Context, id string, results []byte, msg telemetry.Message, at time.Time) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE evaluations SET ended_at = ?, results = ? WHERE id = ?`, at.UnixMicro(), results, id)
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM steps WHERE evaluation_id = ?`, id)
		}
		return errors.Join(err, enqueue(ctx, tx, msg, at))
	})
	if err != nil {
		return fmt.Errorf("finish evaluation: %w", err)
	}
	return nil
}

// Results returns what the finished evaluations came to, the newest first, at most limit; 0: all.
func (s *Store) Results(ctx context.Context, limit int) ([]*Results, error) {
	if limit <= 0 {
		limit = -1
	}
	rows, err := s.db.QueryContext(ctx, `
		SELECT id, results FROM evaluations WHERE ended_at IS NOT NULL ORDER BY started_at DESC, id LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer rows.Close()
	var out []*Results
	for rows.Next() {
		var id string
		var text []byte
		if err := rows.Scan(&id, &text); err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		r, err := ParseResults(text)
		if err != nil {
			return nil, fmt.Errorf("read results of evaluation %s: %w", id, err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Verdict returns what a judge said earlier; false: nothing.
func (s *Store) Verdict(ctx context.Context, key string) (json.RawMessage, bool, error) {
	var text string
	err := s.db.QueryRowContext(ctx, `SELECT verdict FROM verdicts WHERE key = ?`, key).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look for a verdict: %w", err)
	}
	return json.RawMessage(text), true, nil
}

// KeepVerdict keeps what a judge said.
func (s *Store) KeepVerdict(ctx context.Context, key string, verdict json.RawMessage, at time.Time) error {
	_, err := s.db.ExecContext(ctx, `
		INSERT INTO verdicts (key, verdict, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, key, string(verdict), at.UnixMicro())
	if err != nil {
		return fmt.Errorf("keep a verdict: %w", err)
	}
	return nil
}

func (s *Store) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
