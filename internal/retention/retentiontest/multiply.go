package retentiontest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/technoshare/commentator/internal/sqlitefile"
)

// tables in an order that foreign keys allow, with the column that says whose a row is.
var tables = []struct{ name, owner string }{
	{"runs", "run_uuid"},
	{"tags", "run_uuid"},
	{"params", "run_uuid"},
	{"metrics", "run_uuid"},
	{"latest_metrics", "run_uuid"},
	{"trace_info", "request_id"},
	{"trace_tags", "request_id"},
	{"trace_request_metadata", "request_id"},
	{"trace_metrics", "request_id"},
	{"spans", "trace_id"},
	{"span_metrics", "trace_id"},
	{"assessments", "trace_id"},
	{"entity_associations", "source_id"},
}

// milliseconds and nanoseconds are the columns that hold times.
var (
	milliseconds = map[string]bool{"start_time": true, "end_time": true, "timestamp": true, "timestamp_ms": true, "created_timestamp": true, "last_updated_timestamp": true, "trace_timestamp_ms": true, "created_time": true}
	nanoseconds  = map[string]bool{"start_time_unix_nano": true, "end_time_unix_nano": true}
)

// rows are the rows of a table that are the job's.
type rows struct {
	table   string
	columns []string
	cells   [][]any
}

// Store is where an MLflow keeps its things.
type Store struct {
	Database  string // file
	Artifacts string // directory
}

// Multiply adds copies of a job, one for each start: each with ids of its own in all rows and
// texts, its times moved, and files of its own. MLflow may be running.
func (s Store) Multiply(ctx context.Context, job Job, first int, starts []time.Time) ([]Job, error) {
	db, err := sql.Open("sqlite", sqlitefile.Source(s.Database, url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(30000)", "foreign_keys(1)"}}))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	defer db.Close()
	template, err := read(ctx, db, job)
	if err != nil {
		return nil, fmt.Errorf("read job: %w", err)
	}
	var experiment string
	if err := db.QueryRowContext(ctx, `SELECT experiment_id FROM runs WHERE run_uuid = ?`, job.Root).Scan(&experiment); err != nil {
		return nil, fmt.Errorf("read experiment: %w", err)
	}
	var jobs []Job
	const step = 50 // jobs in one transaction
	for len(starts) > 0 {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		for _, start := range starts[:min(step, len(starts))] {
			c := newCopy(job, first+len(jobs), start)
			if err := c.insert(ctx, tx, template); err != nil {
				return nil, errors.Join(fmt.Errorf("copy job: %w", err), tx.Rollback())
			}
			if err := c.files(filepath.Join(s.Artifacts, experiment)); err != nil {
				return nil, errors.Join(fmt.Errorf("copy files: %w", err), tx.Rollback())
			}
			jobs = append(jobs, c.to)
		}
		if err := tx.Commit(); err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
		starts = starts[min(step, len(starts)):]
	}
	return jobs, nil
}

func read(ctx context.Context, db *sql.DB, job Job) ([]rows, error) {
	var all []rows
	for _, t := range tables {
		// Without those that are computed of others.
		columns, err := texts(ctx, db, `SELECT name FROM pragma_table_info('`+t.name+`')`)
		if err != nil {
			return nil, err
		}
		of := rows{table: t.name, columns: columns}
		for _, id := range append([]string{"tr-" + job.Trace}, job.Runs...) {
			if err := of.read(ctx, db, t.owner, id); err != nil {
				return nil, err
			}
		}
		all = append(all, of)
	}
	return all, nil
}

// names is the list of the columns for SQL.
func (of *rows) names() string { return `"` + strings.Join(of.columns, `", "`) + `"` }

func (of *rows) read(ctx context.Context, db *sql.DB, owner, id string) error {
	found, err := db.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM %s WHERE %s = ?`, of.names(), of.table, owner), id)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		cells, into := make([]any, len(of.columns)), make([]any, len(of.columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := found.Scan(into...); err != nil {
			return err
		}
		of.cells = append(of.cells, cells)
	}
	return found.Err()
}

// copied is one copy of a job.
type copied struct {
	from, to Job
	rename   *strings.Replacer
	moved    time.Duration
}

func newCopy(job Job, id int, start time.Time) copied {
	start = start.Truncate(time.Millisecond)
	c := copied{from: job, to: Job{ID: id, Start: start}, moved: start.Sub(job.Start)}
	fresh := func(old string) string {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", old, id))
		return hex.EncodeToString(sum[:16])
	}
	var pairs []string
	for _, old := range job.Runs {
		c.to.Runs = append(c.to.Runs, fresh(old))
		pairs = append(pairs, old, fresh(old))
	}
	c.to.Root, c.to.Trace = c.to.Runs[0], fresh(job.Trace)
	// Spans are kept as JSON, with the id in base 64 and the times in decimal.
	pairs = append(pairs, job.Trace, c.to.Trace, base64ID(job.Trace), base64ID(c.to.Trace), fmt.Sprintf("job_%d", job.ID), fmt.Sprintf("job_%d", id))
	for i := range 12 {
		for _, at := range []time.Duration{0, time.Second} {
			old := job.Start.Add(time.Duration(i)*time.Millisecond + at).UnixNano()
			pairs = append(pairs, fmt.Sprint(old), fmt.Sprint(old+int64(c.moved)))
		}
	}
	c.rename = strings.NewReplacer(pairs...)
	return c
}

func base64ID(id string) string {
	b, _ := hex.DecodeString(id) // made by us
	return base64.StdEncoding.EncodeToString(b)
}

func (c copied) insert(ctx context.Context, tx *sql.Tx, template []rows) error {
	for _, of := range template {
		if err := c.insertInto(ctx, tx, of); err != nil {
			return fmt.Errorf("table %s: %w", of.table, err)
		}
	}
	return nil
}

func (c copied) insertInto(ctx context.Context, tx *sql.Tx, of rows) error {
	if len(of.cells) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, fmt.Sprintf(`INSERT INTO %s (%s) VALUES (?%s)`, of.table, of.names(), strings.Repeat(", ?", len(of.columns)-1)))
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, row := range of.cells {
		if _, err := stmt.ExecContext(ctx, c.cells(of, row)...); err != nil {
			return err
		}
	}
	return nil
}

// cells gives a row with everything in it that tells the copies apart.
func (c copied) cells(of rows, row []any) []any {
	out := make([]any, len(row))
	for i, cell := range row {
		switch v := cell.(type) {
		case string:
			out[i] = c.rename.Replace(v)
		case int64:
			out[i] = v
			if milliseconds[of.columns[i]] {
				out[i] = v + c.moved.Milliseconds()
			} else if nanoseconds[of.columns[i]] {
				out[i] = v + int64(c.moved)
			}
		default:
			out[i] = v
		}
		if of.columns[i] == "association_id" {
			out[i] = "a-" + c.to.Trace
		}
	}
	for i, column := range of.columns { // key and value of the param with the job's number
		if column == "key" && row[i] == "job_id" {
			for k, other := range of.columns {
				if other == "value" {
					out[k] = fmt.Sprint(c.to.ID)
				}
			}
		}
	}
	return out
}

// files copies the artifacts below an experiment's directory.
func (c copied) files(dir string) error {
	for i, run := range c.from.Runs {
		from, to := filepath.Join(dir, run), filepath.Join(dir, c.to.Runs[i])
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return err
		}
	}
	return nil
}

// Copy copies a store whose MLflow is not running.
func (s Store) Copy(dir string) (Store, error) {
	to := Store{Database: filepath.Join(dir, filepath.Base(s.Database)), Artifacts: filepath.Join(dir, filepath.Base(s.Artifacts))}
	content, err := os.ReadFile(s.Database)
	if err != nil {
		return to, fmt.Errorf("copy store: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return to, fmt.Errorf("copy store: %w", err)
	}
	if err := os.WriteFile(to.Database, content, 0o600); err != nil {
		return to, fmt.Errorf("copy store: %w", err)
	}
	if err := os.CopyFS(to.Artifacts, os.DirFS(s.Artifacts)); err != nil {
		return to, fmt.Errorf("copy store: %w", err)
	}
	return to, nil
}
