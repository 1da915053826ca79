package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed" // for schema.sql
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

//go:embed schema.sql
var schemaSQL string

// schemaVersion is what this release writes and reads.
const schemaVersion = 3

// upgrades[v] turns a database of version v into one of the next.
var upgrades = map[int]string{
	1: `ALTER TABLE jobs ADD COLUMN decision TEXT NOT NULL DEFAULT ''`,
	2: `ALTER TABLE messages ADD COLUMN edited_ts TEXT NOT NULL DEFAULT '';
		ALTER TABLE messages ADD COLUMN deleted_at INTEGER;
		ALTER TABLE jobs ADD COLUMN link_key TEXT NOT NULL DEFAULT '';
		ALTER TABLE jobs ADD COLUMN withdrawn_at INTEGER`,
}

// prepareSchema creates the tables in a new database and returns the store id and the key of
// pseudonyms. A database of a release that had no such key gets one.
func prepareSchema(ctx context.Context, db *sql.DB) (id, pseudonymKey string, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", "", err
	}
	defer tx.Rollback()
	if err := upgrade(ctx, tx); err != nil {
		return "", "", err
	}
	if _, err := tx.ExecContext(ctx, schemaSQL); err != nil {
		return "", "", fmt.Errorf("create tables: %w", err)
	}
	for key, value := range map[string]string{
		"store_id":       uuid.NewString(),
		"pseudonym_key":  rand.Text(),
		"schema_version": strconv.Itoa(schemaVersion),
	} {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, key, value)
		if err != nil {
			return "", "", fmt.Errorf("write %s: %w", key, err)
		}
	}
	if id, err = meta(ctx, tx, "store_id"); err != nil {
		return "", "", err
	}
	if pseudonymKey, err = meta(ctx, tx, "pseudonym_key"); err != nil {
		return "", "", err
	}
	return id, pseudonymKey, tx.Commit()
}

// upgrade brings the tables of an older release up to date; a new database has none.
func upgrade(ctx context.Context, tx *sql.Tx) error {
	tables, err := tableNames(ctx, tx)
	if err != nil || !tables["meta"] {
		return err
	}
	text, err := meta(ctx, tx, "schema_version")
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	for ; version < schemaVersion; version++ {
		if _, err := tx.ExecContext(ctx, upgrades[version]); err != nil {
			return fmt.Errorf("upgrade tables of version %d: %w", version, err)
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE key = 'schema_version'`, strconv.Itoa(version))
	if err != nil {
		return fmt.Errorf("write schema version: %w", err)
	}
	return nil
}

// checkOwner makes sure that the database is empty or one of ours. It only reads: opening
// the writer turns the journal mode of a foreign file to WAL.
func checkOwner(ctx context.Context, db querier) error {
	tables, err := tableNames(ctx, db)
	if err != nil {
		return err
	}
	switch {
	case len(tables) == 0:
		return nil
	case tables["meta"]:
		return checkVersion(ctx, db)
	case tables["jobs"] && tables["messages"]:
		return fmt.Errorf("%w; keep that file and set DB_PATH to a new one, for instance ./commentator.sqlite", ErrOldDeployment)
	default:
		return fmt.Errorf("%w; set DB_PATH to another file", ErrForeign)
	}
}

func checkVersion(ctx context.Context, db querier) error {
	text, err := meta(ctx, db, "schema_version")
	if err != nil {
		return fmt.Errorf("%w (%w); set DB_PATH to another file", ErrForeign, err)
	}
	version, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%w: its schema version is %q; set DB_PATH to another file", ErrForeign, text)
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: its schema version is %d and this program knows %d; install the newer release or set DB_PATH to another file",
			ErrNewerSchema, version, schemaVersion)
	}
	return nil
}

func tableNames(ctx context.Context, db querier) (map[string]bool, error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer rows.Close()
	names := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names[name] = true
	}
	return names, rows.Err()
}

func meta(ctx context.Context, db querier, key string) (string, error) {
	var value string
	err := db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", key, err)
	}
	return value, nil
}
