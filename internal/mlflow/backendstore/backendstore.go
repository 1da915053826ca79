// Package backendstore reads where an MLflow keeps its database, as `mlflow server` takes it
// (--backend-store-uri, MLFLOW_BACKEND_STORE).
package backendstore

import (
	"net/url"
	"strings"
)

// Store is where the database is.
type Store struct {
	// Dialect is SQLAlchemy's, without the driver: sqlite, postgresql, mysql, mssql; empty: no database.
	Dialect string
	// File is the file of a SQLite database, as it was written: a relative one is relative to the working
	// directory of the server. Empty: another dialect, or a database in memory.
	File string
}

// Parse reads an address of the form dialect+driver://…; the driver may be left out. SQLAlchemy takes
// what stands behind the first ? for options, and all before it for the file as it is.
func Parse(address string) Store {
	scheme, rest, ok := strings.Cut(address, "://")
	dialect, _, _ := strings.Cut(scheme, "+")
	if !ok {
		return Store{}
	}
	s := Store{Dialect: dialect}
	if dialect == "postgres" { // what libpq takes, too
		s.Dialect = "postgresql"
	}
	if file, ok := strings.CutPrefix(rest, "/"); ok && dialect == "sqlite" {
		s.File, _, _ = strings.Cut(file, "?")
	}
	return s
}

// Redacted is an address, of a database or of artifacts, without its password.
func Redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	return u.Redacted()
}
