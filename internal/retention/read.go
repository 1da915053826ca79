package retention

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	traceStateOpen  = "IN_PROGRESS"
	metaJudgedBy    = "mlflow.assessment.sourceRunId" // the run that made an assessment
	tagFilesOfTrace = "mlflow.artifactLocation"
)

// read gathers the facts, page by page: others may write between, which is why each removal
// looks again.
func (d *database) read(ctx context.Context, scope map[int64]bool) (facts, error) {
	f := facts{scope: scope}
	steps := []struct {
		what string
		read func(context.Context, *facts) error
	}{
		{"runs", d.readRuns},
		{"traces", d.readTraces},
		{"links", d.readLinks},
		{"judgements", d.readJudgements},
		{"references", func(ctx context.Context, f *facts) (err error) {
			f.protected, err = d.references(ctx, d.sql)
			return err
		}},
		{"keep tags", d.readKept},
	}
	for _, s := range steps {
		if err := s.read(ctx, &f); err != nil {
			return f, fmt.Errorf("read %s: %w", s.what, err)
		}
	}
	return f, nil
}

func (d *database) readRuns(ctx context.Context, f *facts) error {
	parents := map[string]string{}
	err := paged(ctx, d.sql, `SELECT rowid, run_uuid, value FROM tags WHERE rowid > ? AND key = '`+mlflow.TagParentRun+`' ORDER BY rowid`,
		func(rows *sql.Rows, after *int64) error {
			var id string
			var parent sql.NullString
			err := rows.Scan(after, &id, &parent)
			parents[id] = parent.String
			return err
		})
	if err != nil {
		return err
	}
	return paged(ctx, d.sql, `
		SELECT rowid, run_uuid, experiment_id, coalesce(status, '') IN ('RUNNING', 'SCHEDULED'), lifecycle_stage = 'deleted',
			coalesce(start_time, end_time, 0), coalesce(artifact_uri, '') FROM runs WHERE rowid > ? ORDER BY rowid`,
		func(rows *sql.Rows, after *int64) error {
			var r run
			err := rows.Scan(after, &r.id, &r.experiment, &r.open, &r.trashed, &r.at, &r.uri)
			r.parent = parents[r.id]
			f.runs = append(f.runs, r)
			return err
		})
}

func (d *database) readTraces(ctx context.Context, f *facts) error {
	if !d.has("trace_info", "request_id", "experiment_id", "timestamp_ms", "status") {
		return nil // before MLflow 2.14
	}
	locations, runs := map[string]string{}, map[string][]string{}
	err := paged(ctx, d.sql, `SELECT rowid, request_id, value FROM trace_tags WHERE rowid > ? AND key = '`+tagFilesOfTrace+`' ORDER BY rowid`,
		func(rows *sql.Rows, after *int64) error {
			var id, value string
			err := rows.Scan(after, &id, &value)
			locations[id] = value
			return err
		})
	if err != nil {
		return err
	}
	err = paged(ctx, d.sql, `SELECT rowid, request_id, value FROM trace_request_metadata WHERE rowid > ? AND key = '`+mlflow.MetaSourceRun+`' ORDER BY rowid`,
		func(rows *sql.Rows, after *int64) error {
			var id, run string
			err := rows.Scan(after, &id, &run)
			runs[id] = append(runs[id], run)
			return err
		})
	if err != nil {
		return err
	}
	if d.has("entity_associations") {
		err = paged(ctx, d.sql, `SELECT rowid, source_id, destination_id FROM entity_associations
				WHERE rowid > ? AND source_type = 'trace' AND destination_type = 'run' ORDER BY rowid`,
			func(rows *sql.Rows, after *int64) error {
				var id, run string
				err := rows.Scan(after, &id, &run)
				runs[id] = append(runs[id], run)
				return err
			})
		if err != nil {
			return err
		}
	}
	return paged(ctx, d.sql, `SELECT rowid, request_id, experiment_id, status = '`+traceStateOpen+`', timestamp_ms FROM trace_info WHERE rowid > ? ORDER BY rowid`,
		func(rows *sql.Rows, after *int64) error {
			var t trace
			err := rows.Scan(after, &t.id, &t.experiment, &t.open, &t.at)
			t.location, t.runs = locations[t.id], runs[t.id]
			f.traces = append(f.traces, t)
			return err
		})
}

// readLinks reads what else ties runs and traces to each other.
func (d *database) readLinks(ctx context.Context, f *facts) error {
	if !d.has("entity_associations") {
		return nil
	}
	links, err := strings2(ctx, d.sql, `SELECT source_id, destination_id FROM entity_associations
		WHERE source_type IN ('run', 'trace') AND destination_type IN ('run', 'trace') AND NOT (source_type = 'trace' AND destination_type = 'run')`)
	f.links = append(f.links, links...)
	return err
}

// readJudgements ties traces to the runs that judged them: deleting such a run makes MLflow
// delete its assessments.
func (d *database) readJudgements(ctx context.Context, f *facts) error {
	if !d.has("assessments", "trace_id", "assessment_metadata") {
		return nil
	}
	return paged(ctx, d.sql, `SELECT rowid, trace_id, assessment_metadata FROM assessments
			WHERE rowid > ? AND assessment_metadata LIKE '%`+metaJudgedBy+`%' ORDER BY rowid`,
		func(rows *sql.Rows, after *int64) error {
			var trace, metadata string
			if err := rows.Scan(after, &trace, &metadata); err != nil {
				return err
			}
			var m map[string]any
			_ = json.Unmarshal([]byte(metadata), &m) // in what is no JSON MLflow finds no run either
			if run, ok := m[metaJudgedBy].(string); ok {
				f.links = append(f.links, [2]string{trace, run})
			}
			return nil
		})
}

// ids finds ids of runs and traces in sources and addresses.
var ids = regexp.MustCompile(`(?:tr-)?[0-9a-f]{32}`)

// references reads what must stay for somebody else's sake. Its tables are small.
func (d *database) references(ctx context.Context, q querier) (map[string]Reason, error) {
	protected := map[string]Reason{}
	type source struct {
		table   string
		columns []string
		query   string
	}
	sources := []source{
		{"model_versions", []string{"run_id", "source", "current_stage"}, `
			SELECT coalesce(run_id, '') || ' ' || coalesce(run_link, ''), source FROM model_versions WHERE coalesce(current_stage, '') <> 'Deleted_Internal'`},
		{"model_versions", []string{"storage_location", "current_stage"}, `
			SELECT storage_location, '' FROM model_versions WHERE storage_location IS NOT NULL AND coalesce(current_stage, '') <> 'Deleted_Internal'`},
		{"logged_models", []string{"source_run_id", "artifact_location"}, `
			SELECT source_run_id, artifact_location FROM logged_models WHERE source_run_id IS NOT NULL`},
		{"evaluation_dataset_records", []string{"source", "source_id"}, `
			SELECT source_id, source FROM evaluation_dataset_records WHERE source IS NOT NULL OR source_id IS NOT NULL`},
		{"entity_associations", []string{"source_type", "destination_id"}, `SELECT destination_id, '' FROM entity_associations
			WHERE destination_type IN ('run', 'trace') AND source_type NOT IN ('run', 'trace')`},
		{"review_queue_items", []string{"item_id", "status"}, `SELECT item_id, '' FROM review_queue_items WHERE status = 'pending'`},
	}
	for _, f := range d.foreign {
		sources = append(sources, source{f[0], []string{f[1]}, fmt.Sprintf(`SELECT %[2]q, '' FROM %[1]q WHERE %[2]q IS NOT NULL`, f[0], f[1])})
	}
	for _, s := range sources {
		if !d.has(s.table, s.columns...) {
			continue
		}
		found, err := strings2(ctx, q, s.query)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", s.table, err)
		}
		for _, row := range found {
			for _, id := range ids.FindAllString(row[0]+" "+row[1], -1) {
				protected[id] = Referred
			}
		}
	}
	return protected, nil
}

// readKept reads which runs and traces have the tag Keep.
func (d *database) readKept(ctx context.Context, f *facts) error {
	for table, owner := range map[string]string{"tags": "run_uuid", "trace_tags": "request_id"} {
		if !d.has(table, owner) {
			continue
		}
		err := paged(ctx, d.sql, fmt.Sprintf(`SELECT rowid, %s FROM %s WHERE rowid > ? AND key = '%s' ORDER BY rowid`, owner, table, Keep),
			func(rows *sql.Rows, after *int64) error {
				var id string
				err := rows.Scan(after, &id)
				f.protected[id] = Kept
				return err
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// changed gives those of some runs and traces that may not go for what they say of themselves:
// they are not finished, or have the tag Keep.
func (d *database) changed(ctx context.Context, q querier, runs, traces []string) (map[string]Reason, error) {
	out := map[string]Reason{}
	for _, c := range []struct {
		reason       Reason
		ids          []string
		table, query string
	}{
		{Kept, runs, "tags", `SELECT run_uuid, '' FROM tags WHERE key = '` + Keep + `' AND run_uuid IN `},
		{Kept, traces, "trace_tags", `SELECT request_id, '' FROM trace_tags WHERE key = '` + Keep + `' AND request_id IN `},
		{Open, runs, "runs", `SELECT run_uuid, '' FROM runs WHERE status IN ('RUNNING', 'SCHEDULED') AND run_uuid IN `},
		{Open, traces, "trace_info", `SELECT request_id, '' FROM trace_info WHERE status = '` + traceStateOpen + `' AND request_id IN `},
	} {
		for some := range slices.Chunk(c.ids, chunk) {
			list, args := in(some)
			found, err := strings2(ctx, q, c.query+list, args...)
			if err != nil {
				return nil, fmt.Errorf("read table %s: %w", c.table, err)
			}
			for _, row := range found {
				out[row[0]] = c.reason
			}
		}
	}
	return out, nil
}

// experiment is a row of MLflow's table of experiments.
type experiment struct {
	id       int64
	name     string
	location string
	deleted  bool
}

func (d *database) experiments(ctx context.Context) ([]experiment, error) {
	rows, err := d.sql.QueryContext(ctx, `SELECT experiment_id, name, coalesce(artifact_location, ''), lifecycle_stage = 'deleted' FROM experiments ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("read experiments: %w", err)
	}
	defer rows.Close()
	var all []experiment
	for rows.Next() {
		var e experiment
		if err := rows.Scan(&e.id, &e.name, &e.location, &e.deleted); err != nil {
			return nil, fmt.Errorf("read experiments: %w", err)
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// experimentTag is the value of an experiment's tag, "" if it has none.
func (d *database) experimentTag(ctx context.Context, id int64, key string) (string, error) {
	var value sql.NullString
	err := d.sql.QueryRowContext(ctx, `SELECT value FROM experiment_tags WHERE experiment_id = ? AND key = ?`, id, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return value.String, err
}

// chunk is how many ids one statement names.
const chunk = 100
