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

var (
	//go:embed schema.sql
	sqliteSchema string
	//go:embed schema_postgres.sql
	postgresSchema string
)

// schemaVersion is what this release writes and reads.
const schemaVersion = 3

// sqliteUpgrades[v] turns a file of version v into one of the next. PostgreSQL begins with
// version 3.
var sqliteUpgrades = map[int]string{
	1: `ALTER TABLE jobs ADD COLUMN decision TEXT NOT NULL DEFAULT ''`,
	2: `ALTER TABLE messages ADD COLUMN edited_ts TEXT NOT NULL DEFAULT '';
		ALTER TABLE messages ADD COLUMN deleted_at INTEGER;
		ALTER TABLE jobs ADD COLUMN link_key TEXT NOT NULL DEFAULT '';
		ALTER TABLE jobs ADD COLUMN withdrawn_at INTEGER`,
}

// prepareSchema creates the tables in a new database and reads the store id and the key of
// pseudonyms. A database of a release that had no such key gets one.
func (s *Store) prepareSchema(ctx context.Context) error {
	return s.writeOnce(ctx, &writeTx{}, s.dialect.lockAll, func(tx *writeTx) (err error) {
		s.ids, s.pseudonymKey, err = prepareSchema(ctx, tx)
		return err
	})
}

func prepareSchema(ctx context.Context, tx *writeTx) (ids identities, pseudonymKey string, err error) {
	current, err := upgrade(ctx, tx)
	if err != nil {
		return ids, "", err
	}
	if !current { // else PostgreSQL would wait for whoever uses the tables, only to do nothing
		if _, err := tx.Tx.ExecContext(ctx, tx.dialect.schema); err != nil {
			return ids, "", fmt.Errorf("create tables: %w", err)
		}
	}
	for key, value := range map[string]string{
		"store_id":       uuid.NewString(),
		"pseudonym_key":  rand.Text(),
		"schema_version": strconv.Itoa(schemaVersion),
	} {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, key, value)
		if err != nil {
			return ids, "", fmt.Errorf("write %s: %w", key, err)
		}
	}
	if ids, err = readIdentities(ctx, tx); err != nil {
		return ids, "", err
	}
	if pseudonymKey, err = meta(ctx, tx, "pseudonym_key"); err != nil {
		return ids, "", err
	}
	return ids, pseudonymKey, nil
}

// upgrade brings the tables of an older release up to date and reports whether they were; a new
// database has none.
func upgrade(ctx context.Context, tx *writeTx) (current bool, _ error) {
	tables, err := tableNames(ctx, tx, tx.dialect)
	if err != nil || !tables["meta"] {
		return false, err
	}
	text, err := meta(ctx, tx, "schema_version")
	if err != nil {
		return false, err
	}
	version, err := strconv.Atoi(text)
	if err != nil {
		return false, fmt.Errorf("read schema version: %w", err)
	}
	if version == schemaVersion {
		return true, nil
	}
	for ; version < schemaVersion; version++ {
		if _, err := tx.Tx.ExecContext(ctx, tx.dialect.upgrades[version]); err != nil {
			return false, fmt.Errorf("upgrade tables of version %d: %w", version, err)
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE key = 'schema_version'`, strconv.Itoa(version))
	if err != nil {
		return false, fmt.Errorf("write schema version: %w", err)
	}
	return false, nil
}

// checkOwner makes sure that the database is empty or one of ours. It only reads: opening
// the writer turns the journal mode of a foreign file to WAL.
func checkOwner(ctx context.Context, db *database, existing bool) error {
	tables, err := tableNames(ctx, db, db.dialect)
	if err != nil {
		return err
	}
	d := db.dialect
	switch {
	case len(tables) == 0 && existing:
		return ErrNoDatabase
	case len(tables) == 0:
		return nil
	case tables["meta"]:
		return checkVersion(ctx, db)
	case tables["jobs"] && tables["messages"] && d == sqliteDialect:
		return fmt.Errorf("%w; keep that file and set DB_PATH to a new one, for instance ./commentator.sqlite; `commentator migrate --from FILE` takes its jobs over", ErrOldDeployment)
	default:
		return fmt.Errorf("%w; %s", ErrForeign, d.elsewhere)
	}
}

func checkVersion(ctx context.Context, db *database) error {
	elsewhere := db.dialect.elsewhere
	text, err := meta(ctx, db, "schema_version")
	if err != nil {
		return fmt.Errorf("%w (%w); %s", ErrForeign, err, elsewhere)
	}
	version, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%w: its schema version is %q; %s", ErrForeign, text, elsewhere)
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: its schema version is %d and this program knows %d; install the newer release or %s",
			ErrNewerSchema, version, schemaVersion, elsewhere)
	}
	return nil
}

func tableNames(ctx context.Context, db querier, d *dialect) (map[string]bool, error) {
	names := map[string]bool{}
	err := each(ctx, db, d.tables, nil, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names[name] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return names, nil
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
