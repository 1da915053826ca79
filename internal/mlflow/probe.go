package mlflow

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Health asks whether the server answers, which it does without credentials and whatever the
// Host is. It returns when the server answered by its own clock, in whole seconds; zero when it
// does not say. Another text than MLflow's is an *Error that is Strange: a proxy or another program
// answers.
func (c *Client) Health(ctx context.Context) (at time.Time, err error) {
	body, header, err := c.do(ctx, request{method: http.MethodGet, path: "/health", max: 1 << 20})
	if err != nil {
		return at, err
	}
	if strings.TrimSpace(string(body)) != "OK" {
		return at, strangeError("GET /health", body, errors.New("another text than OK"))
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		at = date
	}
	return at, nil
}

// Version asks for the server's version, "3.17.2".
func (c *Client) Version(ctx context.Context) (string, error) {
	b, _, err := c.do(ctx, request{method: http.MethodGet, path: "/version", max: 1 << 20})
	return clip(string(b), 100), err
}

// ServerInfo is what a server says of itself (3.10 and later).
type ServerInfo struct {
	StoreType         string `json:"store_type"`
	WorkspacesEnabled bool   `json:"workspaces_enabled"`
}

// ServerInfo asks for what kind of server it is.
func (c *Client) ServerInfo(ctx context.Context) (ServerInfo, error) {
	var out ServerInfo
	err := c.call(ctx, http.MethodGet, api3+"/server-info", nil, nil, &out)
	return out, err
}

// Store kinds that StoreKind tells apart.
const (
	StoreSQLite     = "SQLite"
	StorePostgreSQL = "PostgreSQL"
	StoreFiles      = "files"
	StoreSQL        = "another SQL database"
)

// impossible is the id of an experiment that cannot be: it is more than the databases' integers
// hold.
const impossible = "99999999999999999999"

// StoreKind finds out where the server keeps runs and traces; empty: it does not show. No call
// of the API says so. Errors do: SQLite's driver refuses an id that no integer holds, which
// PostgreSQL compares all the same; PostgreSQL's refuses a text with a NUL; the file store has
// words of its own. Nothing is changed.
func (c *Client) StoreKind(ctx context.Context) (string, error) {
	kind, err := kindOf(c.GetExperiment(ctx, impossible))
	if kind != StoreSQL {
		return kind, err
	}
	if other, _ := kindOf(c.GetExperimentByName(ctx, "\x00")); other != "" {
		kind = other
	}
	return kind, nil
}

// kindOf reads the error of a call that cannot succeed.
func kindOf(_ Experiment, err error) (string, error) {
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 {
		return "", err
	}
	switch text := strings.ToLower(e.Message); {
	case strings.Contains(text, "sqlite"):
		return StoreSQLite, nil
	case strings.Contains(text, "psycopg"), strings.Contains(text, "postgres"), strings.Contains(text, "cannot contain nul"):
		return StorePostgreSQL, nil
	case strings.HasPrefix(text, "could not find experiment with id"):
		return StoreFiles, nil
	case strings.HasPrefix(text, "no experiment with id"), strings.Contains(text, "mysql"), strings.Contains(text, "sqlalche.me"):
		return StoreSQL, nil
	}
	if e.Configuration() || e.Status == http.StatusForbidden {
		return "", err
	}
	return "", nil
}
