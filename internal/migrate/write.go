package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/technoshare/commentator/internal/sqlitefile"
)

// Write makes an old database of the rows. It refuses a file that is there. The file is
// empty until everything is in it, and goes away when something fails.
func Write(ctx context.Context, path string, t Tables) error {
	// The name is taken first; what is written beside it replaces the empty file.
	taken, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(path)
	case err != nil:
		return fmt.Errorf("write old database: %w", err)
	}
	err = errors.Join(taken.Close(), writeBeside(ctx, path, t))
	if err != nil {
		return fmt.Errorf("write old database %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

func exists(path string) error {
	return mustBe(CodeExists, "%s is there already; --export-to needs the name of a new file", path)
}

func writeBeside(ctx context.Context, path string, t Tables) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".export-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	beside := filepath.Join(dir, "old.sqlite")
	if err := fill(ctx, beside, t); err != nil {
		return err
	}
	if err := os.Chmod(beside, 0o600); err != nil { // it holds what people wrote in Slack
		return err
	}
	return os.Rename(beside, path)
}

func fill(ctx context.Context, path string, t Tables) (err error) {
	db, err := sql.Open("sqlite", sqlitefile.Source(path, url.Values{"_pragma": {"foreign_keys(1)"}}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, schemaSQL); err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	if err := insert(ctx, tx, t); err != nil {
		return err
	}
	for table, last := range map[string]int64{"messages": t.LastMessageID, "jobs": t.LastJobID} {
		// Ids of rows that are gone are not given again.
		if _, err := tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = ?`, table); err != nil {
			return fmt.Errorf("last id of %s: %w", table, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, table, last); err != nil {
			return fmt.Errorf("last id of %s: %w", table, err)
		}
	}
	return tx.Commit()
}

func insert(ctx context.Context, tx *sql.Tx, t Tables) error {
	message, err := tx.PrepareContext(ctx, `
		INSERT INTO messages (id, channel_id, message_ts, thread_ts, user_id, text, created_at, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer message.Close()
	for _, m := range t.Messages {
		if _, err := message.ExecContext(ctx, m.ID, m.Channel, m.TS, m.Thread, m.User, m.Text, m.CreatedAt, m.Status); err != nil {
			return fmt.Errorf("message %d: %w", m.ID, err)
		}
	}
	job, err := tx.PrepareContext(ctx, `
		INSERT INTO jobs (id, channel_id, message_ts, status, attempts, last_error, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer job.Close()
	for _, j := range t.Jobs {
		if _, err := job.ExecContext(ctx, j.ID, j.Channel, j.TS, j.Status, j.Attempts, j.LastError, j.CreatedAt, j.UpdatedAt); err != nil {
			return fmt.Errorf("job %d: %w", j.ID, err)
		}
	}
	return nil
}
