package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/counted"
)

// MLflow is asked about the newest runs, and not for ever: this is about a folder that is missing,
// and the runs of every deployment that works have files soon.
const (
	mostAsked = 200
	longAsked = 20 * time.Second
)

// missingRoot judges an artifact root that is not there. MLflow makes it with the first file, and
// nothing in its database says whether there is one, so MLflow is asked: the folder's name is
// wrong when it has a file, and all is well when it has none. The warning is for when that cannot
// be told.
func missingRoot(ctx context.Context, db *sql.DB, root string, hasFiles func(context.Context, string) (bool, error)) (warning string, err error) {
	if isThere(root) {
		return "", nil
	}
	runs, total, err := servedRuns(ctx, db)
	if err != nil {
		return "", err
	}
	if total == 0 {
		return "", nil
	}
	const where = "--artifacts or MLFLOW_ARTIFACT_ROOT says where it is"
	warning = fmt.Sprintf("there is no folder %s, which MLflow makes with the first artifact of a run; whether %s of MLflow have any cannot be told", root, counted.Of(total, "run"))
	if hasFiles == nil {
		return warning + "; " + where, nil
	}
	ctx, cancel := context.WithTimeout(ctx, longAsked)
	defer cancel()
	for _, run := range runs {
		has, err := hasFiles(ctx, run)
		if err != nil {
			return fmt.Sprintf("%s (%v); %s", warning, err, where), nil
		}
		if has && !isThere(root) { // else MLflow has just made it, for a run that the copy does not need to know
			return "", fmt.Errorf("there is no folder %s, and MLflow keeps artifacts, of run %s for one; %s, --without artifacts leaves them out", root, run, where)
		}
	}
	if total > int64(len(runs)) {
		return fmt.Sprintf("there is no folder %s; the newest %d of %s of MLflow have no artifacts, the others were not looked at; %s", root, len(runs), counted.Of(total, "run"), where), nil
	}
	return "", nil
}

// servedRuns returns the newest runs whose artifacts are below the artifact root, and how many
// there are.
func servedRuns(ctx context.Context, db *sql.DB) (newest []string, total int64, err error) {
	const from = ` FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
		WHERE coalesce(e.artifact_location, '') = '' OR e.artifact_location LIKE 'mlflow-artifacts:%'`
	if err := db.QueryRowContext(ctx, `SELECT count(*)`+from).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count runs: %w", err)
	}
	rows, err := db.QueryContext(ctx, `SELECT r.run_uuid`+from+` ORDER BY r.rowid DESC LIMIT ?`, mostAsked)
	if err != nil {
		return nil, 0, fmt.Errorf("read runs: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var run string
		if err := rows.Scan(&run); err != nil {
			return nil, 0, fmt.Errorf("read runs: %w", err)
		}
		newest = append(newest, run)
	}
	return newest, total, rows.Err()
}
