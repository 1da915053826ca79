package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

const metaFormer = "former_store_ids" // JSON of []formerID, the oldest first

// formerID is the store id that the original of a copy has. Jobs that had ended when the copy
// was made keep their identity: what was recorded of them is recorded under it.
type formerID struct {
	StoreID string  `json:"store_id"`
	LastJob int64   `json:"last_job"` // the highest id of a job then
	Open    []int64 `json:"open"`     // jobs up to it that had not ended: they are this database's own
}

func (f formerID) holds(job int64) bool { return job <= f.LastJob && !slices.Contains(f.Open, job) }

// identities are the store ids of a database.
type identities struct {
	current string
	former  []formerID
}

// of returns the store id that is part of a job's identity.
func (i identities) of(job int64) string {
	for _, f := range i.former {
		if f.holds(job) {
			return f.StoreID
		}
	}
	return i.current
}

func readIdentities(ctx context.Context, q querier) (i identities, err error) {
	if i.current, err = meta(ctx, q, "store_id"); err != nil {
		return i, err
	}
	if err = readNote(ctx, q, metaFormer, &i.former); err != nil {
		return i, fmt.Errorf("read earlier store ids: %w", err)
	}
	return i, nil
}

// Rekey gives the copy of a job database, a SQLite file on which nobody works, a store id of its
// own, and returns it. Jobs that have ended keep their identity; those that are open and
// those that come get one that no job of the original has.
func Rekey(ctx context.Context, path string) (id string, err error) {
	db, err := openWriter(ctx, path, busyTimeout)
	if err != nil {
		return "", fmt.Errorf("write store id: %w", explain(err))
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	file := &database{db, sqliteDialect}
	tx, err := file.BeginTx(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("write store id: %w", explain(err))
	}
	defer tx.Rollback()
	tables, err := tableNames(ctx, tx, sqliteDialect)
	if err != nil {
		return "", fmt.Errorf("write store id: %w", err)
	}
	if !tables["meta"] {
		return "", fmt.Errorf("write store id: %w: it has none", ErrOldDeployment)
	}
	ids, err := readIdentities(ctx, tx)
	if err != nil {
		return "", fmt.Errorf("write store id: %w", err)
	}
	own, err := formerOf(ctx, tx, ids.current)
	if err != nil {
		return "", fmt.Errorf("write store id: %w", err)
	}
	id = uuid.NewString()
	if _, err := tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE key = 'store_id'`, id); err != nil {
		return "", fmt.Errorf("write store id: %w", err)
	}
	if err := writeNote(ctx, tx, metaFormer, append(ids.former, own)); err != nil {
		return "", fmt.Errorf("write store id: %w", err)
	}
	return id, tx.Commit()
}

// formerOf is what a database is the original of at this moment.
func formerOf(ctx context.Context, tx transaction, storeID string) (formerID, error) {
	f := formerID{StoreID: storeID}
	var open string
	err := tx.QueryRowContext(ctx, `
		SELECT coalesce(max(id), 0), json_group_array(id) FILTER (WHERE state <> 'final') FROM jobs`).Scan(&f.LastJob, &open)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal([]byte(open), &f.Open)
}
