package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// dialect is in what the two databases differ. All statements of this package are written for
// both: ? or ?1 for a value, RETURNING for an id that the database gives, whole numbers for
// times and truth values. What cannot be said in one way is a field here.
type dialect struct {
	schema   string         // makes the tables of schemaVersion that are not there
	upgrades map[int]string // upgrades[v] turns the tables of version v into those of the next
	tables   string         // query for the names of the tables

	elsewhere string // what to do when this database is not ours

	// lockAll begins a transaction that excludes every other one that writes, lockJob one that
	// excludes those and leaves others of its kind alone. Empty: the database does so by itself.
	lockAll, lockJob string
	forUpdate        string // behind a SELECT: no other transaction changes the row before this one ends
	skipLocked       string // likewise, and rows that another transaction has are left out

	// lost reports that an error is no answer, or one that ends the session, passing that it is
	// such a one or comes from what others do at the time. Neither says anything of what was to
	// be written.
	lost, passing func(error) bool

	// addEvicted adds to the noted losses, with the messages that are deleted. Empty: noteLosses does so
	// afterwards, since workers that all wait for the row of the losses would wait for one that hangs.
	addEvicted string

	lossEvery time.Duration // how often it is looked for losses

	lastID  string // query: the highest id that a table ever gave
	raiseID func(ctx context.Context, tx *writeTx, table string, id int64) error

	jsonText func(column, key string) string     // expression: a text field of a JSON object
	idIn     func(ids []int64) (string, any)     // condition on the column id, and its value
	bind     func(string, []any) (string, []any) // statement and values as the driver wants them; nil: as they are
}

var sqliteDialect = &dialect{
	schema:   sqliteSchema,
	upgrades: sqliteUpgrades,
	tables:   `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`,

	elsewhere: "set DB_PATH to another file",

	lost:    func(error) bool { return false },
	passing: func(error) bool { return false },

	lossEvery: lossEvery,
	addEvicted: `
		INSERT INTO meta (key, value) VALUES (?1, json_object('evicted', ?2)) ON CONFLICT (key) DO UPDATE
		SET value = json_set(value, '$.evicted', coalesce(json_extract(value, '$.evicted'), 0) + ?2)`,

	lastID:  `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '%s'`,
	raiseID: raiseFileID,

	jsonText: func(column, key string) string { return fmt.Sprintf(`json_extract(%s, '$.%s')`, column, key) },
	idIn: func(ids []int64) (string, any) {
		return `id IN (SELECT value FROM json_each(?))`, jsonList(ids)
	},
}

// jsonList writes ids as a JSON array.
func jsonList(ids []int64) string {
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(append(b, ']'))
}

var postgresDialect = &dialect{
	schema: postgresSchema,
	tables: `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`,

	elsewhere: "set DATABASE_URL to a database of its own",

	// What several hosts write into one database follows the rules that SQLite's single writer
	// gives for nothing: transactions that concern more than one job have the database to
	// themselves, those of different jobs run at the same time.
	lockAll:    `SELECT pg_advisory_xact_lock(hashtextextended('commentator/write/' || current_schema(), 0))`,
	lockJob:    `SELECT pg_advisory_xact_lock_shared(hashtextextended('commentator/write/' || current_schema(), 0))`,
	forUpdate:  ` FOR UPDATE`,
	skipLocked: ` FOR UPDATE SKIP LOCKED`,
	lossEvery:  lossEveryShared,

	lost:    lostSession,
	passing: func(err error) bool { return lostSession(err) || hasCode(err, passingCodes) },

	lastID:  `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM %s_id_seq`,
	raiseID: raisePostgresID,

	jsonText: func(column, key string) string { // the column may be empty, which is no JSON
		return fmt.Sprintf(`CASE WHEN %[1]s <> '' THEN %[1]s::jsonb ->> '%[2]s' END`, column, key)
	},
	idIn: func(ids []int64) (string, any) { return `id = ANY(?)`, ids },
	bind: bindPostgres,
}

func bindPostgres(query string, args []any) (string, []any) {
	bound := make([]any, len(args))
	for i, a := range args {
		bound[i] = postgresValue(a)
	}
	return numbered(query), bound
}

// postgresValue is a value as PostgreSQL takes it: truth values are numbers in our tables, and
// its texts hold neither NUL nor what is no UTF-8, which pages and messages may.
func postgresValue(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case string:
		return cleanText(v)
	case sql.NullString:
		v.String = cleanText(v.String)
		return v
	}
	return v
}

const replacement = "\uFFFD"

func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}

// numberedQueries remembers what numbered returned: the statements of a program are few.
var numberedQueries sync.Map

// numbered turns the placeholders of a statement, ? in their order or ?1 by number, into $1.
func numbered(query string) string {
	if known, ok := numberedQueries.Load(query); ok {
		return known.(string) // nothing else is stored
	}
	var b strings.Builder
	next, quoted := 0, false
	for i := 0; i < len(query); i++ {
		c := query[i]
		if c == '\'' {
			quoted = !quoted
		}
		if c != '?' || quoted {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('$')
		if i+1 < len(query) && query[i+1] >= '0' && query[i+1] <= '9' {
			continue // the number follows
		}
		next++
		b.WriteString(strconv.Itoa(next))
	}
	out := b.String()
	numberedQueries.Store(query, out)
	return out
}
