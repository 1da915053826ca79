package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connections of one process, at most. The relay keeps one while it sends, and the queue has
// six more.
const (
	postgresWriters = 8
	postgresReaders = 4
)

// session is what each connection asks of the server, unless the address says otherwise: a host
// that vanishes without a word loses its connections, and with them what it has locked, within
// half a minute, and one that hangs in a transaction after five.
var session = map[string]string{
	"application_name":                    "commentator",
	"connect_timeout":                     "10",
	"tcp_keepalives_idle":                 "10",
	"tcp_keepalives_interval":             "5",
	"tcp_keepalives_count":                "3",
	"idle_in_transaction_session_timeout": "5min",
}

func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// openPostgres opens the database at an address.
func (s *Store) openPostgres(ctx context.Context, address string) (err error) {
	s.dialect, s.path = postgresDialect, "of DATABASE_URL"
	var config *pgx.ConnConfig
	if s.address, config, err = postgresConfig(address); err != nil {
		return err
	}
	s.path = postgresName(config)
	reading := config.Copy()
	reading.RuntimeParams["default_transaction_read_only"] = "on"
	s.reader = &database{openPool(reading, postgresReaders), s.dialect}
	return s.prepare(ctx, func() (*sql.DB, error) { return openPool(config, postgresWriters), nil })
}

// postgresName is what people may see of an address.
func postgresName(config *pgx.ConnConfig) string {
	return fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), config.Database)
}

// postgresConfig returns an address with what session says, and what it means. An error does not
// hold the password.
func postgresConfig(address string) (string, *pgx.ConnConfig, error) {
	// An example with user and password in it would be masked where errors are.
	const remedy = "write postgres://host:5432/database with user:password@ before the host"
	u, err := url.Parse(address)
	if err != nil {
		return "", nil, errors.New("the address cannot be read; " + remedy)
	}
	query := u.Query()
	for name, value := range session {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return "", nil, fmt.Errorf("%w; %s", err, remedy)
	}
	return u.String(), config, nil
}

// openPool connects when somebody needs a connection.
func openPool(config *pgx.ConnConfig, most int) *sql.DB {
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// What the codes of PostgreSQL's answers begin with, see its Appendix A.
var (
	lostCodes = []string{
		"08",             // connection exception
		"25P03", "25P04", // idle_in_transaction_session_timeout, transaction_timeout
		"57P", // shutdown, crash, dropped database, idle_session_timeout
	}
	passingCodes = []string{
		"40",    // transaction rollback: serialization_failure, deadlock_detected
		"57014", // query_canceled
	}
)

// lostSession reports that a statement had no answer, or one that ends the session.
func lostSession(err error) bool {
	var answer *pgconn.PgError
	return !errors.As(err, &answer) || hasCode(err, lostCodes)
}

func hasCode(err error, codes []string) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && slices.ContainsFunc(codes, func(c string) bool { return strings.HasPrefix(answer.Code, c) })
}

// explainPostgres turns what PostgreSQL, or the way to it, answers into sentences.
func explainPostgres(err error) error {
	if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrReadOnly) {
		return err // explained already
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		switch answer.Code {
		case "28P01", "28000": // invalid_password, invalid_authorization_specification
			return fmt.Errorf("%w: PostgreSQL refuses the user or the password of DATABASE_URL: %w", ErrUnreachable, err)
		case "3D000": // invalid_catalog_name
			return fmt.Errorf("%w: PostgreSQL has no such database; create it with CREATE DATABASE, or correct DATABASE_URL: %w", ErrUnreachable, err)
		case "53300": // too_many_connections
			return fmt.Errorf("%w: PostgreSQL has no connection left; raise its max_connections, or run fewer workers: %w", ErrUnreachable, err)
		case "42501": // insufficient_privilege
			return fmt.Errorf("%w: the user of DATABASE_URL needs CREATE on the schema and has to own its tables: %w", ErrReadOnly, err)
		case "25006": // read_only_sql_transaction
			return fmt.Errorf("%w: PostgreSQL is read-only, such as a standby; set DATABASE_URL to the primary: %w", ErrReadOnly, err)
		}
		return err
	}
	var refused *pgconn.ConnectError
	if errors.As(err, &refused) {
		return fmt.Errorf("PostgreSQL %w; start it, or correct DATABASE_URL: %w", ErrUnreachable, err)
	}
	return err
}
