package migrate

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/sqlitefile"
)

// Codes of the errors of this package. All are final: something else has to be given.
const (
	CodeNotOld   = "not_old_database" // the file is missing, or is something else
	CodeHot      = "unfinished_write" // the old program died while it wrote
	CodeSameFile = "same_file"        // the old database is the one to write to
	CodeNotEmpty = "not_empty"        // the database to write to holds other jobs
	CodeDiffers  = "differs"          // it holds other rows under the ids of old ones
	CodeExists   = "file_exists"      // the file to write to is there
)

// mustBe returns a final error.
func mustBe(code, format string, args ...any) error {
	return &commentator.Error{Code: code, Message: fmt.Sprintf(format, args...), Final: true}
}

// Read reads an old database at one moment, also while its program runs. It writes neither
// the file nor its write-ahead log; while a log is there SQLite keeps its locks in FILE-shm.
func Read(ctx context.Context, path string) (Tables, error) {
	t, err := readSettled(path, func(immutable bool) (Tables, error) { return read(ctx, path, immutable) })
	switch {
	case commentator.IsFinal(err): // it names the file
		return Tables{}, err
	case err != nil:
		return Tables{}, fmt.Errorf("read old database %s: %w", path, explain(path, err))
	}
	return t, nil
}

// readSettled reads a file that nobody has open without locks, and once more with them when
// somebody came meanwhile.
func readSettled(path string, read func(immutable bool) (Tables, error)) (Tables, error) {
	before, err := stat(path)
	if err != nil {
		return Tables{}, err
	}
	t, err := read(before.closed)
	if !before.closed {
		return t, err
	}
	after, statErr := stat(path)
	if statErr != nil {
		return Tables{}, statErr
	}
	if after != before {
		return read(false)
	}
	return t, err
}

// fileState tells whether a database file changed.
type fileState struct {
	size, modified int64
	// closed: it is in WAL mode and there is no log, so nobody has it open. SQLite would make
	// a log beside it to read it.
	closed bool
}

// stat looks at the file without SQLite.
func stat(path string) (fileState, error) {
	var none fileState
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, mustBe(CodeNotOld, "there is no old database %s; --from needs the file that DB_PATH of the old deployment names", path)
	}
	if err != nil {
		return none, fmt.Errorf("open old database: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return none, fmt.Errorf("open old database: %w", err)
	}
	head := make([]byte, 20)
	if info.IsDir() {
		return none, mustBe(CodeNotOld, "%s is a directory; --from needs the database file", path)
	}
	if _, err := io.ReadFull(f, head); err != nil || !bytes.HasPrefix(head, []byte(sqlitefile.Header)) {
		return none, mustBe(CodeNotOld, "%s is no SQLite database; --from needs the file that DB_PATH of the old deployment names", path)
	}
	state := fileState{size: info.Size(), modified: info.ModTime().UnixNano()}
	if head[18] == 2 || head[19] == 2 { // the file format's read and write versions: 2 is WAL
		_, err := os.Stat(path + "-wal")
		state.closed = errors.Is(err, fs.ErrNotExist)
	}
	return state, nil
}

func read(ctx context.Context, path string, immutable bool) (t Tables, err error) {
	db, err := openOld(path, immutable)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return t, err
	}
	defer tx.Rollback()
	if t.Unknown, err = checkTables(ctx, tx, path); err != nil {
		return t, err
	}
	if t.Messages, err = readMessages(ctx, tx); err != nil {
		return t, fmt.Errorf("table messages: %w", err)
	}
	if t.Jobs, err = readJobs(ctx, tx); err != nil {
		return t, fmt.Errorf("table jobs: %w", err)
	}
	return t, readLastIDs(ctx, tx, &t)
}

func openOld(path string, immutable bool) (*sql.DB, error) {
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)", "query_only(1)"}}
	if immutable {
		q.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", sqlitefile.Source(path, q))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// checkTables makes sure that the tables are the old ones and returns what else is there.
func checkTables(ctx context.Context, tx *sql.Tx, path string) (unknown []string, err error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY t.name, c.cid`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		found[table] = append(found[table], column)
		if known, ours := columns[table]; ours && !slices.Contains(known, column) {
			unknown = append(unknown, table+"."+column)
		} else if !ours && !slices.Contains(unknown, table) {
			unknown = append(unknown, table)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if found["meta"] != nil {
		return nil, mustBe(CodeNotOld, "%s is a job database of this program already; --from needs the file of the old deployment", path)
	}
	for _, table := range []string{"messages", "jobs"} {
		var missing []string
		for _, column := range columns[table] {
			if !slices.Contains(found[table], column) {
				missing = append(missing, column)
			}
		}
		switch {
		case found[table] == nil:
			return nil, mustBe(CodeNotOld, "%s has no table %s; --from needs the file that DB_PATH of the old deployment names", path, table)
		case missing != nil:
			return nil, mustBe(CodeNotOld, "table %s of %s has no column %s; it is not of the old deployment, or of a version that is not known",
				table, path, strings.Join(missing, ", "))
		}
	}
	return unknown, nil
}

// texts selects the columns behind id as SQLite turns them into text: columns declared as
// DATETIME would else come as times, or not at all.
func texts(table string) string {
	var list strings.Builder
	for _, column := range columns[table][1:] {
		fmt.Fprintf(&list, ", CAST(%s AS TEXT)", column)
	}
	return "SELECT id" + list.String() + " FROM " + table + " ORDER BY id"
}

func readMessages(ctx context.Context, tx *sql.Tx) (all []OldMessage, err error) {
	rows, err := tx.QueryContext(ctx, texts("messages"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m OldMessage
		if err := rows.Scan(&m.ID, &m.Channel, &m.TS, &m.Thread, &m.User, &m.Text, &m.CreatedAt, &m.Status); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

func readJobs(ctx context.Context, tx *sql.Tx) (all []OldJob, err error) {
	rows, err := tx.QueryContext(ctx, texts("jobs"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var j OldJob
		if err := rows.Scan(&j.ID, &j.Channel, &j.TS, &j.Status, &j.Attempts, &j.LastError, &j.CreatedAt, &j.UpdatedAt); err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, rows.Err()
}

// readLastIDs finds the highest ids that were given, also to rows that are gone: the old
// MLflow holds runs of their names.
func readLastIDs(ctx context.Context, tx *sql.Tx, t *Tables) error {
	for _, m := range t.Messages {
		t.LastMessageID = max(t.LastMessageID, m.ID)
	}
	for _, j := range t.Jobs {
		t.LastJobID = max(t.LastJobID, j.ID)
	}
	var known bool
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'`).Scan(&known)
	if err != nil || !known {
		return err // no table has ever given an id by itself
	}
	for table, last := range map[string]*int64{"messages": &t.LastMessageID, "jobs": &t.LastJobID} {
		var given sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = ?`, table).Scan(&given)
		if err != nil {
			return fmt.Errorf("last id of %s: %w", table, err)
		}
		*last = max(*last, given.Int64)
	}
	return nil
}

// explain turns SQLite's result codes into sentences.
func explain(path string, err error) error {
	code, _ := sqlitefile.Code(err)
	switch code {
	case sqlite3.SQLITE_READONLY:
		return mustBe(CodeHot, "the old program died while it wrote, and only a write can take that back; "+
			"start it once, or copy %s and %[1]s-journal elsewhere, open the copy with sqlite3 and migrate from it", path)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return mustBe(CodeNotOld, "the file is damaged (%v); `sqlite3 FILE .recover | sqlite3 NEW` saves what can be read", err)
	case sqlite3.SQLITE_CANTOPEN:
		return mustBe(CodeNotOld, "SQLite cannot open it (%v); beside a write-ahead log it needs a folder that it can write, "+
			"so copy %s and %[2]s-wal to another one", err, path)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("the old program keeps it locked; try again, or stop it: %w", err)
	}
	return err
}
