package retentiontest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/sqlitefile"
)

// State is what a store holds, apart from its own notes about when it was cleaned.
type State struct {
	Digest      string         `json:"digest"` // of all rows and files
	Rows        map[string]int `json:"rows"`   // by table, those that are not empty
	Files       int            `json:"files"`
	Directories int            `json:"directories"` // of runs
	FileBytes   int64          `json:"file_bytes"`
	// DatabaseBytes is the length of the database file.
	DatabaseBytes int64   `json:"database_bytes"`
	Orphans       Orphans `json:"orphans"`
}

// Orphans are counted here without the code that removes them.
type Orphans struct {
	Directories int `json:"directories"` // of runs that are gone, empty ones too
	Files       int `json:"files"`       // in these
	Traces      int `json:"traces"`      // whose run is gone
	Rows        int `json:"rows"`        // of other tables, whose run or trace is gone
}

// None reports whether there are none.
func (o Orphans) None() bool { return o == Orphans{} }

// State reads a store; MLflow should be quiet.
func (s Store) State(ctx context.Context) (State, error) {
	out := State{Rows: map[string]int{}}
	db, err := sql.Open("sqlite", sqlitefile.Source(s.Database, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(30000)"}}))
	if err != nil {
		return out, fmt.Errorf("open store: %w", err)
	}
	defer db.Close()
	digest := sha256.New()
	tables, err := texts(ctx, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		return out, fmt.Errorf("read tables: %w", err)
	}
	for _, t := range tables {
		where := ""
		if t == "experiment_tags" {
			where = " WHERE key <> 'technoshare.retention.at'"
		}
		columns, err := texts(ctx, db, `SELECT 'quote("' || name || '")' FROM pragma_table_info('`+t+`') WHERE name NOT IN ('last_update_time')`)
		if err != nil {
			return out, fmt.Errorf("read table %s: %w", t, err)
		}
		lines, err := texts(ctx, db, fmt.Sprintf(`SELECT %s FROM %q%s`, strings.Join(columns, " || '|' || "), t, where))
		if err != nil {
			return out, fmt.Errorf("read table %s: %w", t, err)
		}
		slices.Sort(lines)
		if out.Rows[t] = len(lines); len(lines) == 0 {
			delete(out.Rows, t)
		}
		fmt.Fprintf(digest, "%s\n%s\n", t, strings.Join(lines, "\n"))
	}
	if err := out.Orphans.rows(ctx, db); err != nil {
		return out, fmt.Errorf("count orphans: %w", err)
	}
	there, err := texts(ctx, db, `SELECT run_uuid FROM runs`)
	if err != nil {
		return out, fmt.Errorf("read runs: %w", err)
	}
	runs := map[string]bool{}
	for _, r := range there {
		runs[r] = true
	}
	err = filepath.WalkDir(s.Artifacts, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(s.Artifacts, name)
		parts := strings.Split(filepath.ToSlash(rel), "/")
		stray := len(parts) > 1 && len(parts[1]) == 32 && !runs[parts[1]]
		if d.IsDir() {
			if len(parts) == 2 && len(parts[1]) == 32 {
				out.Directories++
				if stray {
					out.Orphans.Directories++
				}
			}
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if stray {
			out.Orphans.Files++
		}
		out.Files++
		out.FileBytes += int64(len(content))
		fmt.Fprintf(digest, "%s %x\n", rel, sha256.Sum256(content))
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, fmt.Errorf("read artifacts: %w", err)
	}
	info, err := os.Stat(s.Database)
	if err != nil {
		return out, err
	}
	out.DatabaseBytes, out.Digest = info.Size(), hex.EncodeToString(digest.Sum(nil))
	return out, nil
}

func (o *Orphans) rows(ctx context.Context, db *sql.DB) error {
	for into, queries := range map[*int][]string{
		&o.Traces: {`SELECT count(*) FROM trace_request_metadata WHERE key = 'mlflow.sourceRun' AND value NOT IN (SELECT run_uuid FROM runs)`},
		&o.Rows: {
			`SELECT count(*) FROM metrics WHERE run_uuid NOT IN (SELECT run_uuid FROM runs)`,
			`SELECT count(*) FROM params WHERE run_uuid NOT IN (SELECT run_uuid FROM runs)`,
			`SELECT count(*) FROM tags WHERE run_uuid NOT IN (SELECT run_uuid FROM runs)`,
			`SELECT count(*) FROM spans WHERE trace_id NOT IN (SELECT request_id FROM trace_info)`,
			`SELECT count(*) FROM assessments WHERE trace_id NOT IN (SELECT request_id FROM trace_info)`,
			`SELECT count(*) FROM entity_associations WHERE destination_type = 'run' AND destination_id NOT IN (SELECT run_uuid FROM runs)`,
			`SELECT count(*) FROM entity_associations WHERE source_type = 'trace' AND source_id NOT IN (SELECT request_id FROM trace_info)`,
			`SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId' AND value NOT IN (SELECT run_uuid FROM runs)`,
		},
	} {
		for _, q := range queries {
			var n int
			if err := db.QueryRowContext(ctx, q).Scan(&n); err != nil {
				return err
			}
			*into += n
		}
	}
	return nil
}

// texts reads rows of one text.
func texts(ctx context.Context, db *sql.DB, query string) ([]string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
