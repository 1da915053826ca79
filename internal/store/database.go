package store

import (
	"context"
	"database/sql"
)

// database is a pool of connections that takes the statements of this package.
type database struct {
	*sql.DB
	dialect *dialect
}

// transaction is one of its transactions. Tx is what others, such as the queue, get.
type transaction struct {
	*sql.Tx
	dialect *dialect
	// bounds ends before the contexts that statements get; nil: they end with those alone. To end
	// the context of a transaction does not end a statement of it that waits.
	bounds context.Context
}

// querier is a transaction or a pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// executor is a transaction or a pool that may write.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (d *dialect) bound(query string, args []any) (string, []any) {
	if d == nil || d.bind == nil {
		return query, args
	}
	return d.bind(query, args)
}

// BeginTx begins a transaction.
func (d *database) BeginTx(ctx context.Context, opts *sql.TxOptions) (transaction, error) {
	tx, err := d.DB.BeginTx(ctx, opts)
	return transaction{Tx: tx, dialect: d.dialect}, err
}

// ExecContext runs a statement.
func (d *database) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	query, args = d.dialect.bound(query, args)
	return d.DB.ExecContext(ctx, query, args...)
}

// QueryContext runs a query for any number of rows.
func (d *database) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	query, args = d.dialect.bound(query, args)
	return d.DB.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a query for one row.
func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	query, args = d.dialect.bound(query, args)
	return d.DB.QueryRowContext(ctx, query, args...)
}

// bounded is the context of a statement: ctx is that of the transaction's owner, which bounds is
// made of.
func (t transaction) bounded(ctx context.Context) context.Context {
	if t.bounds != nil {
		return t.bounds
	}
	return ctx
}

// ExecContext runs a statement.
func (t transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	query, args = t.dialect.bound(query, args)
	return t.Tx.ExecContext(t.bounded(ctx), query, args...)
}

// QueryContext runs a query for any number of rows.
func (t transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	query, args = t.dialect.bound(query, args)
	return t.Tx.QueryContext(t.bounded(ctx), query, args...)
}

// QueryRowContext runs a query for one row.
func (t transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	query, args = t.dialect.bound(query, args)
	return t.Tx.QueryRowContext(t.bounded(ctx), query, args...)
}
