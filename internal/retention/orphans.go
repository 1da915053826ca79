package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"time"
)

// The directories that MLflow makes below an experiment's: <run id>, models/<model id> and
// traces/<trace id>. Those with another name are somebody else's.
var directories = []struct {
	below string
	name  *regexp.Regexp
	table string
	key   string
}{
	{"", regexp.MustCompile(`^[0-9a-f]{32}$`), "runs", "run_uuid"},
	{"models", regexp.MustCompile(`^m-[0-9a-f]{32}$`), "logged_models", "model_id"},
	{"traces", regexp.MustCompile(`^tr-[0-9a-f]{32}$`), "trace_info", "request_id"},
}

// experimentPlace is the directory of an experiment's artifacts.
func (f *files) experimentPlace(e experiment) (place, error) {
	// As for a run of the experiment, whose address is made the same way.
	p, err := f.locate(e.location+"/0/artifacts", "0")
	p.dir = path.Dir(p.dir)
	return p, err
}

// stray is a directory of artifacts without an owner.
type stray struct {
	place
	held size
}

// directory counts one.
func (o *Orphans) directory(s stray) {
	o.Directories++
	o.Files.add(s.held)
}

// strayDirectories finds directories of artifacts whose run, model or trace is not there any
// more, and which nobody has touched lately. One that cannot be read is told, and left.
func (r *retention) strayDirectories(ctx context.Context) ([]stray, error) {
	var all []stray
	for _, e := range r.experiments {
		home, err := r.files.experimentPlace(e)
		if err != nil {
			continue // not on this host, or of no known form: its runs say so
		}
		for _, kind := range directories {
			if !r.db.has(kind.table, kind.key) {
				continue
			}
			names, err := r.files.list(place{home.root, path.Join(home.dir, kind.below)})
			if err != nil {
				r.report.problem(fmt.Errorf("list artifacts of experiment %q: %w", e.name, err))
				continue
			}
			var mine []string
			for _, n := range names {
				if kind.name.MatchString(n) {
					mine = append(mine, n)
				}
			}
			// Rows are read after the directories: a directory is made after its row.
			there, err := existing(ctx, r.db.sql, kind.table, kind.key, mine)
			if err != nil {
				return nil, err
			}
			for _, n := range mine {
				p := place{home.root, path.Join(home.dir, kind.below, n)}
				if there[n] {
					continue
				}
				held, newest, err := r.files.measure(p)
				if err != nil {
					r.report.problem(fmt.Errorf("measure %s: %w", p.dir, err))
					continue
				}
				if r.Now.Sub(newest) >= Settled {
					all = append(all, stray{p, held})
				}
			}
		}
	}
	return all, nil
}

// existing gives which of the ids a table has.
func existing(ctx context.Context, q querier, table, key string, ids []string) (map[string]bool, error) {
	there := map[string]bool{}
	for some := range slices.Chunk(ids, chunk) {
		list, args := in(some)
		found, err := strings2(ctx, q, fmt.Sprintf(`SELECT %[1]s, '' FROM %[2]s WHERE %[1]s IN %[3]s`, key, table, list), args...)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", table, err)
		}
		for _, row := range found {
			there[row[0]] = true
		}
	}
	return there, nil
}

// strayRows are rows whose owner is not there any more: those that no foreign key guards, and
// those that a foreign key guards when it is switched on. Each condition is about a row of
// the table, called t.
func (d *database) strayRows(now time.Time) []struct{ table, where string } {
	const (
		noRun   = `NOT EXISTS (SELECT 1 FROM runs WHERE run_uuid = %s)`
		noTrace = `NOT EXISTS (SELECT 1 FROM trace_info WHERE request_id = %s)`
		noInput = `NOT EXISTS (SELECT 1 FROM inputs WHERE %s)`
	)
	var all []struct{ table, where string }
	add := func(where, table string, columns ...string) {
		if d.has(table, columns...) {
			all = append(all, struct{ table, where string }{table, where})
		}
	}
	for _, table := range owned {
		add(fmt.Sprintf(noRun, "t.run_uuid"), table, "run_uuid")
	}
	if d.has("trace_info", "request_id") {
		for table, column := range map[string]string{
			"trace_tags": "request_id", "trace_request_metadata": "request_id", "trace_metrics": "request_id", "spans": "trace_id", "assessments": "trace_id",
		} {
			add(fmt.Sprintf(noTrace, "t."+column), table, column)
		}
		add(`t.item_type = 'trace' AND `+fmt.Sprintf(noTrace, "t.item_id"), "review_queue_items", "item_type", "item_id")
	}
	if d.has("inputs", "input_uuid", "source_type", "destination_type") {
		add(`(t.destination_type = 'RUN' AND `+fmt.Sprintf(noRun, "t.destination_id")+`) OR (t.source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND `+fmt.Sprintf(noRun, "t.source_id")+`)`, "inputs")
		add(fmt.Sprintf(noInput, "inputs.input_uuid = t.input_uuid"), "input_tags", "input_uuid")
		unused := fmt.Sprintf(noInput, "source_type = 'DATASET' AND source_id = t.dataset_uuid")
		if d.has("logged_model_metrics", "dataset_uuid") {
			unused += ` AND NOT EXISTS (SELECT 1 FROM logged_model_metrics m WHERE m.dataset_uuid = t.dataset_uuid)`
		}
		add(unused, "datasets", "dataset_uuid")
	}
	if d.has("trace_info") {
		// A trace may be linked before it comes.
		add(fmt.Sprintf(`t.created_time < %d AND (`, now.Add(-Settled).UnixMilli())+
			`(t.source_type = 'run' AND `+fmt.Sprintf(noRun, "t.source_id")+`) OR (t.destination_type = 'run' AND `+fmt.Sprintf(noRun, "t.destination_id")+`) OR `+
			`(t.source_type = 'trace' AND `+fmt.Sprintf(noTrace, "t.source_id")+`) OR (t.destination_type = 'trace' AND `+fmt.Sprintf(noTrace, "t.destination_id")+`))`,
			"entity_associations", "created_time")
	}
	return all
}

// countStrayRows counts them, a part of a table at a time.
func (d *database) countStrayRows(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	err := d.eachPart(ctx, now, func(table, where string, from, to int64) error {
		var n int64
		err := d.sql.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM %s t WHERE t.rowid BETWEEN %d AND %d AND (%s)`, table, from, to, where)).Scan(&n)
		total += n
		return err
	})
	return total, err
}

// removeStrayRows removes them in one transaction each part.
func (d *database) removeStrayRows(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	err := d.eachPart(ctx, now, func(table, where string, from, to int64) error {
		return d.within(ctx, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s AS t WHERE t.rowid BETWEEN %d AND %d AND (%s)`, table, from, to, where))
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			total += n
			return err
		})
	})
	return total, err
}

// eachPart calls f for each range of rows of each table that may hold stray ones.
func (d *database) eachPart(ctx context.Context, now time.Time, f func(table, where string, from, to int64) error) error {
	const part = 20_000
	for _, s := range d.strayRows(now) {
		var first, last sql.NullInt64
		if err := d.sql.QueryRowContext(ctx, `SELECT min(rowid), max(rowid) FROM `+s.table).Scan(&first, &last); err != nil {
			return fmt.Errorf("read table %s: %w", s.table, err)
		}
		if !first.Valid {
			continue
		}
		for from := first.Int64; from <= last.Int64; from += part {
			if err := f(s.table, s.where, from, min(from+part-1, last.Int64)); err != nil {
				return fmt.Errorf("look for rows without an owner in table %s: %w", s.table, err)
			}
		}
	}
	return nil
}

// removeStrays removes directories and rows without an owner.
func (r *retention) removeStrays(ctx context.Context) error {
	var problems []error
	for _, s := range r.stray {
		if err := r.files.remove(s.place); err != nil {
			problems = append(problems, fmt.Errorf("remove %s: %w", s.dir, err))
			continue
		}
		r.report.Orphans.directory(s)
	}
	rows, err := r.db.removeStrayRows(ctx, r.Now)
	r.report.Orphans.Rows = rows
	return errors.Join(append(problems, err)...)
}
