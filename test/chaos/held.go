//go:build linux

package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/reconcile"
	"github.com/technoshare/commentator/internal/wire"
)

// readState reads what MLflow holds from its SQLite file and from the artifacts on disk, with
// nothing of MLflow's own code. Service runs are left out: metrics are best effort.
func readState(dir string) (reconcile.State, error) {
	h, err := openHeld(dir)
	if err != nil {
		return reconcile.State{}, err
	}
	defer h.db.Close()
	var s reconcile.State
	if s.Runs, err = h.runs(); err != nil {
		return s, fmt.Errorf("read runs of MLflow: %w", err)
	}
	if s.Traces, err = h.traces(); err != nil {
		return s, fmt.Errorf("read traces of MLflow: %w", err)
	}
	return s, nil
}

type heldReader struct {
	db  *sql.DB
	dir string
}

func openHeld(dir string) (*heldReader, error) {
	db, err := openReadOnly(filepath.Join(dir, "mlflow.db"))
	return &heldReader{db: db, dir: dir}, err
}

// rows calls scan for each row of a query.
func (h *heldReader) rows(query string, scan func(*sql.Rows) error) error {
	rows, err := h.db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// texts reads rows of owner, key and value.
func (h *heldReader) texts(query string) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	err := h.rows(query, func(rows *sql.Rows) error {
		var owner, key string
		var value sql.NullString
		if err := rows.Scan(&owner, &key, &value); err != nil {
			return err
		}
		if all[owner] == nil {
			all[owner] = map[string]string{}
		}
		all[owner][key] = value.String
		return nil
	})
	return all, err
}

func (h *heldReader) runs() ([]reconcile.Run, error) {
	params, err := h.texts(`SELECT run_uuid, key, value FROM params`)
	if err != nil {
		return nil, err
	}
	tags, err := h.texts(`SELECT run_uuid, key, value FROM tags`)
	if err != nil {
		return nil, err
	}
	metrics := map[string]map[string][]reconcile.Point{}
	err = h.rows(`SELECT run_uuid, key, value, timestamp, step FROM metrics ORDER BY timestamp, step`, func(rows *sql.Rows) error {
		var run, key string
		var p reconcile.Point
		if err := rows.Scan(&run, &key, &p.Value, &p.TimestampMS, &p.Step); err != nil {
			return err
		}
		if metrics[run] == nil {
			metrics[run] = map[string][]reconcile.Point{}
		}
		metrics[run][key] = append(metrics[run][key], p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []reconcile.Run
	err = h.rows(`
		SELECT r.run_uuid, e.name, r.name, r.status, r.lifecycle_stage = 'deleted', r.start_time, coalesce(r.end_time, 0), r.artifact_uri
		FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id`, func(rows *sql.Rows) error {
		var r reconcile.Run
		var artifacts string
		if err := rows.Scan(&r.ID, &r.Experiment, &r.Name, &r.Status, &r.Deleted, &r.StartMS, &r.EndMS, &artifacts); err != nil {
			return err
		}
		if tags[r.ID]["component"] == "service" {
			return nil
		}
		r.Params, r.Tags, r.Metrics = params[r.ID], tags[r.ID], metrics[r.ID]
		r.Artifacts, err = h.files(artifacts)
		all = append(all, r)
		return err
	})
	return all, err
}

// folder is where the files below an artifact address lie that the server serves.
func (h *heldReader) folder(uri string) (string, error) {
	below, ok := strings.CutPrefix(uri, "mlflow-artifacts:/")
	if !ok {
		return "", fmt.Errorf("read artifacts: %s is not served by MLflow", uri)
	}
	return filepath.Join(h.dir, "mlartifacts", filepath.FromSlash(below)), nil
}

// folders are those of the runs' artifacts by the runs' keys.
func (h *heldReader) folders() (map[string]string, error) {
	folders := map[string]string{}
	err := h.rows(`SELECT t.value, r.artifact_uri FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = '`+wire.TagKey+`'`, func(rows *sql.Rows) error {
		var key, uri string
		if err := rows.Scan(&key, &uri); err != nil {
			return err
		}
		var err error
		folders[key], err = h.folder(uri)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read artifacts of MLflow: %w", err)
	}
	return folders, nil
}

// files are the hashes of the files below an artifact address that the server serves.
func (h *heldReader) files(uri string) (map[string]string, error) {
	root, err := h.folder(uri)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		// A server that is killed while it takes a file leaves its own temporary one behind.
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".artifact.uploading.") {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, name)
		sum := sha256.Sum256(b)
		sums[filepath.ToSlash(path)] = hex.EncodeToString(sum[:])
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return sums, nil // a run without files
	}
	return sums, err
}

func (h *heldReader) traces() ([]reconcile.Trace, error) {
	tags, err := h.texts(`SELECT request_id, key, value FROM trace_tags`)
	if err != nil {
		return nil, err
	}
	metadata, err := h.texts(`SELECT request_id, key, value FROM trace_request_metadata`)
	if err != nil {
		return nil, err
	}
	spans := map[string][]reconcile.Span{}
	err = h.rows(`SELECT trace_id, span_id, coalesce(parent_span_id, ''), coalesce(name, ''), status FROM spans`, func(rows *sql.Rows) error {
		var trace string
		var s reconcile.Span
		if err := rows.Scan(&trace, &s.ID, &s.Parent, &s.Name, &s.Status); err != nil {
			return err
		}
		spans[trace] = append(spans[trace], s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []reconcile.Trace
	// Name, session and tokens have columns of their own since MLflow 3.15.
	err = h.rows(`
		SELECT t.request_id, e.name, t.status, t.timestamp_ms, coalesce(t.execution_time_ms, 0), coalesce(t.trace_name, ''), coalesce(t.session_id, ''),
			json_object('input_tokens', coalesce(t.input_tokens, 0), 'output_tokens', coalesce(t.output_tokens, 0), 'total_tokens', coalesce(t.total_tokens, 0),
				'cache_read_input_tokens', coalesce(t.cache_read_input_tokens, 0), 'cache_creation_input_tokens', coalesce(t.cache_creation_input_tokens, 0))
		FROM trace_info t JOIN experiments e ON e.experiment_id = t.experiment_id`, func(rows *sql.Rows) error {
		var t reconcile.Trace
		var name, session, tokens string
		if err := rows.Scan(&t.ID, &t.Experiment, &t.State, &t.StartMS, &t.DurationMS, &name, &session, &tokens); err != nil {
			return err
		}
		t.Tags, t.Metadata, t.Spans = map[string]string{"mlflow.traceName": name}, map[string]string{"mlflow.trace.session": session, "mlflow.trace.tokenUsage": tokens}, spans[t.ID]
		maps.Copy(t.Tags, tags[t.ID])
		maps.Copy(t.Metadata, metadata[t.ID])
		all = append(all, t)
		return nil
	})
	return all, err
}
