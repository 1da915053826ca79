package store

import (
	"context"
	"database/sql"
	"fmt"
)

// File reports whether it is a SQLite file.
func (r *ReadOnly) File() bool { return r.reader.dialect == sqliteDialect }

// LockPath is that of Store.
func (r *ReadOnly) LockPath() string {
	if !r.File() {
		return ""
	}
	return r.name + ".lock"
}

// Status is that of Store.
func (r *ReadOnly) Status(ctx context.Context) (Status, error) {
	out, err := readStatus(ctx, r.reader)
	if err != nil {
		return out, fmt.Errorf("job database %s: %w", r.name, explain(err))
	}
	return out, nil
}

// damages bounds how many damaged places are named.
const damages = 10

// Integrity names what is damaged in a SQLite file, of which it reads all. PostgreSQL looks after
// its files itself; there it says whether the database takes no writes.
func (r *ReadOnly) Integrity(ctx context.Context) ([]string, error) {
	if !r.File() {
		return r.standby(ctx)
	}
	var found []string
	for _, check := range []struct{ query, says string }{
		{fmt.Sprintf("PRAGMA integrity_check(%d)", damages), "%s"},
		{`SELECT DISTINCT "table" FROM pragma_foreign_key_check`, "rows of table %s refer to rows that are gone"},
	} {
		more, err := list(ctx, r.reader, check.query, nil, scanValue[string])
		if err != nil {
			return found, fmt.Errorf("check job database %s: %w", r.name, explain(err))
		}
		for _, text := range more {
			if text != "ok" {
				found = append(found, fmt.Sprintf(check.says, text))
			}
		}
	}
	return found, nil
}

func (r *ReadOnly) standby(ctx context.Context) ([]string, error) {
	var standby bool
	if err := r.reader.QueryRowContext(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
		return nil, fmt.Errorf("check database: %w", explain(err))
	}
	if standby {
		return []string{"it is a standby, which takes no writes"}, nil
	}
	return nil, nil
}

// PromptUse is a prompt that recent stages used.
type PromptUse struct {
	Name, SHA256 string
	Stages       int
	LastJob      int64
}

// recentStages bounds how far back PromptsUsed looks.
const recentStages = 2000

// PromptsUsed lists the prompts of the newest stages, by name.
func (r *ReadOnly) PromptsUsed(ctx context.Context) ([]PromptUse, error) {
	name, hash := r.reader.dialect.jsonText("analysis", "prompt_name"), r.reader.dialect.jsonText("analysis", "prompt_sha256")
	all, err := list(ctx, r.reader, `
		SELECT name, hash, count(*), max(job_id) FROM (
			SELECT job_id, `+name+` AS name, `+hash+` AS hash FROM stages
			WHERE analysis IS NOT NULL ORDER BY id DESC LIMIT ?) AS recent
		WHERE name <> '' AND hash <> '' GROUP BY name, hash ORDER BY name, hash`, []any{recentStages},
		func(rows *sql.Rows, p *PromptUse) error { return rows.Scan(&p.Name, &p.SHA256, &p.Stages, &p.LastJob) })
	if err != nil {
		return nil, fmt.Errorf("read prompts: %w", explain(err))
	}
	return all, nil
}
