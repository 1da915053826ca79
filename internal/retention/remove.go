package retention

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// claim puts the runs of some groups into the trash, in one transaction that looks again
// whether they may go, and gives those groups that may not. A group that was restored from
// the trash meanwhile may not either.
func (d *database) claim(ctx context.Context, groups []group, trashed map[string]bool, now int64) (refused map[int]Reason, err error) {
	refused = map[int]Reason{}
	err = d.within(ctx, func(tx *sql.Tx) error {
		protected, err := d.references(ctx, tx)
		if err != nil {
			return err
		}
		for i, g := range groups {
			runs, traces := g.ids()
			changed, err := d.changed(ctx, tx, runs, traces)
			if err != nil {
				return err
			}
			for _, id := range append(runs, traces...) {
				for _, r := range []Reason{protected[id], changed[id]} {
					if strength[r] > strength[refused[i]] {
						refused[i] = r
					}
				}
			}
			if refused[i] != "" {
				continue
			}
			if back, err := d.restored(ctx, tx, g, trashed); err != nil || back {
				refused[i] = Kept
				if err != nil {
					return err
				}
				continue
			}
			for some := range slices.Chunk(runs, chunk) {
				list, args := in(some)
				if _, err := tx.ExecContext(ctx, `UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = coalesce(deleted_time, ?) WHERE lifecycle_stage <> 'deleted' AND run_uuid IN `+list, append([]any{now}, args...)...); err != nil {
					return fmt.Errorf("put runs into the trash: %w", err)
				}
			}
		}
		return nil
	})
	return refused, err
}

// restored reports whether a run that was in the trash is there no more.
func (d *database) restored(ctx context.Context, tx *sql.Tx, g group, trashed map[string]bool) (bool, error) {
	var was []string
	for _, r := range g.runs {
		if trashed[r.id] || r.trashed {
			was = append(was, r.id)
		}
	}
	for some := range slices.Chunk(was, chunk) {
		list, args := in(some)
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM runs WHERE lifecycle_stage <> 'deleted' AND run_uuid IN `+list, args...).Scan(&n); err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// removeRuns removes rows of runs that are in the trash, with all that was logged to them, in
// their order, and says of how many.
func (d *database) removeRuns(ctx context.Context, runs []string) (removed int, err error) {
	for some := range slices.Chunk(runs, chunk) {
		if err := d.within(ctx, func(tx *sql.Tx) error { return d.removeSome(ctx, tx, some) }); err != nil {
			return removed, fmt.Errorf("remove runs: %w", err)
		}
		removed += len(some)
	}
	return removed, nil
}

func (d *database) removeSome(ctx context.Context, tx *sql.Tx, runs []string) error {
	list, args := in(runs)
	for _, table := range owned {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE run_uuid IN `+list, args...); err != nil {
			return err
		}
	}
	if d.has("inputs", "input_uuid", "source_type", "source_id", "destination_type", "destination_id") {
		for _, of := range []string{
			`destination_type = 'RUN' AND destination_id IN ` + list, // data sets that the run used
			`source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id IN ` + list,
		} {
			if d.has("input_tags", "input_uuid") {
				if _, err := tx.ExecContext(ctx, `DELETE FROM input_tags WHERE input_uuid IN (SELECT input_uuid FROM inputs WHERE `+of+`)`, args...); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM inputs WHERE `+of, args...); err != nil {
				return err
			}
		}
	}
	if err := d.unlink(ctx, tx, "run", runs); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE run_uuid IN `+list, args...)
	return err
}

// unlink removes what associates runs or traces with something, which no foreign key does.
func (d *database) unlink(ctx context.Context, q querier, kind string, ids []string) error {
	if !d.has("entity_associations") {
		return nil
	}
	list, args := in(ids)
	for _, side := range []string{"source", "destination"} {
		if _, err := q.ExecContext(ctx, fmt.Sprintf(`DELETE FROM entity_associations WHERE %[1]s_type = '%[2]s' AND %[1]s_id IN %[3]s`, side, kind, list), args...); err != nil {
			return err
		}
	}
	return nil
}

// unlinkTraces removes the associations of traces that are gone.
func (d *database) unlinkTraces(ctx context.Context, traces []string) error {
	for some := range slices.Chunk(traces, chunk) {
		if err := d.within(ctx, func(tx *sql.Tx) error { return d.unlink(ctx, tx, "trace", some) }); err != nil {
			return fmt.Errorf("unlink traces: %w", err)
		}
	}
	return nil
}

// payload estimates what groups take in the database: the length of their texts. Indexes
// and pages come on top.
func (d *database) payload(ctx context.Context, groups []group) (int64, error) {
	var runs, traces []string
	for _, g := range groups {
		r, t := g.ids()
		runs, traces = append(runs, r...), append(traces, t...)
	}
	var total int64
	for _, c := range []struct {
		ids          []string
		table, owner string
	}{
		{runs, "runs", "run_uuid"},
		{runs, "metrics", "run_uuid"},
		{runs, "latest_metrics", "run_uuid"},
		{runs, "params", "run_uuid"},
		{runs, "tags", "run_uuid"},
		{traces, "trace_info", "request_id"},
		{traces, "trace_tags", "request_id"},
		{traces, "trace_request_metadata", "request_id"},
		{traces, "trace_metrics", "request_id"},
		{traces, "spans", "trace_id"},
		{traces, "assessments", "trace_id"},
	} {
		if !d.has(c.table, c.owner) {
			continue
		}
		var lengths []string
		for _, column := range d.tables[c.table] {
			lengths = append(lengths, fmt.Sprintf("coalesce(octet_length(%q), 0)", column))
		}
		for some := range slices.Chunk(c.ids, chunk) {
			list, args := in(some)
			var n sql.NullInt64
			err := d.sql.QueryRowContext(ctx, fmt.Sprintf(`SELECT sum(%s) FROM %s WHERE %s IN %s`, strings.Join(lengths, " + "), c.table, c.owner, list), args...).Scan(&n)
			if err != nil {
				return 0, fmt.Errorf("measure table %s: %w", c.table, err)
			}
			total += n.Int64
		}
	}
	return total, nil
}

// ids gives the ids of a group's runs and traces.
func (g group) ids() (runs, traces []string) {
	for _, r := range g.runs {
		runs = append(runs, r.id)
	}
	for _, t := range g.traces {
		traces = append(traces, t.id)
	}
	return runs, traces
}
