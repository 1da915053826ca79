package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// column is a column of MLflow's database that holds where artifacts are. Experiments of a
// server that serves its artifacts have mlflow-artifacts:/…, which holds anywhere; those that
// the old deployment's start script made have a path of this machine.
type column struct {
	table, name string
	where       string // which rows
}

var locationColumns = []column{
	{"experiments", "artifact_location", ""},
	{"runs", "artifact_uri", ""},
	{"logged_models", "artifact_location", ""},
	{"model_versions", "source", ""},
	{"model_versions", "storage_location", ""},
	{"trace_tags", "value", "key = 'mlflow.artifactLocation'"},
}

// present are the columns that a database has; older releases of MLflow lack some tables.
func present(ctx context.Context, db *sql.DB) ([]column, error) {
	var there []column
	for _, c := range locationColumns {
		var n int
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM pragma_table_info(?) WHERE name = ?`, c.table, c.name).Scan(&n); err != nil {
			return nil, fmt.Errorf("look for %s.%s: %w", c.table, c.name, err)
		}
		if n > 0 {
			there = append(there, c)
		}
	}
	return there, nil
}

// located is a location of an experiment and how many runs are below it.
type located struct {
	location string
	runs     int64
}

// experimentLocations returns where MLflow keeps the artifacts of each experiment.
func experimentLocations(ctx context.Context, db *sql.DB) (all []located, err error) {
	rows, err := db.QueryContext(ctx, `
		SELECT coalesce(e.artifact_location, ''), count(r.run_uuid)
		FROM experiments e LEFT JOIN runs r ON r.experiment_id = e.experiment_id
		GROUP BY 1 ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("read locations of experiments: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l located
		if err := rows.Scan(&l.location, &l.runs); err != nil {
			return nil, fmt.Errorf("read locations of experiments: %w", err)
		}
		all = append(all, l)
	}
	return all, rows.Err()
}

// served reports whether a location is one that MLflow's server resolves below its artifact root.
func served(location string) bool {
	return location == "" || strings.HasPrefix(location, "mlflow-artifacts:")
}

// move is a folder that lies elsewhere now.
type move struct{ from, to string }

// relocate writes new paths into MLflow's database where it names folders that were moved, and
// returns how many locations it changed and which other folders of a machine it names.
func relocate(ctx context.Context, database string, moves []move) (changed int64, foreign []string, err error) {
	db, err := open(database, url.Values{"mode": {"rw"}})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	columns, err := present(ctx, db)
	if err != nil {
		return 0, nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, nil, err
	}
	defer tx.Rollback()
	// The longest first: a folder may lie within another.
	slices.SortFunc(moves, func(a, b move) int { return len(b.from) - len(a.from) })
	pending := make([]change, 0, len(moves))
	for _, m := range moves {
		pending = append(pending, change{m.from, m.to}, change{"file://" + escaped(m.from), "file://" + escaped(m.to)})
	}
	for _, c := range columns {
		n, err := c.rewrite(ctx, tx, pending)
		if err != nil {
			return 0, nil, fmt.Errorf("rewrite %s.%s: %w", c.table, c.name, err)
		}
		changed += n
		other, err := c.foreign(ctx, tx, moves)
		if err != nil {
			return 0, nil, fmt.Errorf("read %s.%s: %w", c.table, c.name, err)
		}
		foreign = append(foreign, other...)
	}
	slices.Sort(foreign)
	return changed, slices.Compact(foreign), tx.Commit()
}

// change is a beginning of a location and what takes its place.
type change struct{ old, new string }

func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// rewrite changes each row at most once: a new place may lie within an old one.
func (c column) rewrite(ctx context.Context, tx *sql.Tx, changes []change) (int64, error) {
	value := c.name
	expression, condition := "CASE", ""
	var args, again []any
	for _, ch := range changes {
		length := len([]rune(ch.old))
		expression += fmt.Sprintf(" WHEN %s = ? OR substr(%s, 1, %d) = ? THEN ? || substr(%s, %d)", value, value, length+1, value, length+1)
		args = append(args, ch.old, ch.old+"/", ch.new)
		if condition != "" {
			condition += " OR "
		}
		condition += fmt.Sprintf("%s = ? OR substr(%s, 1, %d) = ?", value, value, length+1)
		again = append(again, ch.old, ch.old+"/")
	}
	if condition == "" {
		return 0, nil
	}
	query := fmt.Sprintf(`UPDATE %s SET %s = %s END WHERE (%s)`, c.table, value, expression, condition)
	if c.where != "" {
		query += " AND " + c.where
	}
	done, err := tx.ExecContext(ctx, query, append(args, again...)...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// foreign lists the folders that locations name and that were not moved. Of those of one
// experiment the first is enough.
func (c column) foreign(ctx context.Context, tx *sql.Tx, moves []move) ([]string, error) {
	query := fmt.Sprintf(`SELECT DISTINCT %[2]s FROM %[1]s WHERE (%[2]s LIKE '/%%' OR %[2]s LIKE 'file:%%')`, c.table, c.name)
	if c.where != "" {
		query += " AND " + c.where
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var location string
		if err := rows.Scan(&location); err != nil {
			return nil, err
		}
		path, local := localPath(location)
		covered := slices.ContainsFunc(moves, func(m move) bool { return inside(path, m.to) })
		if folder := filepath.Dir(path); local && !covered && !slices.Contains(found, folder) && len(found) < 10 {
			found = append(found, folder)
		}
	}
	return found, rows.Err()
}
