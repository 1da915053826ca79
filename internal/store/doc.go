// Package store is the job database: messages, jobs, the finished attempts at stages
// and the outbox of telemetry messages, in one SQLite file or one PostgreSQL database, which
// also holds River's tables.
//
// `jobs` and `stages` are the truth of what has been done; River only says when to try
// next. Every write on behalf of an attempt is fenced by jobs.attempt, so that a worker
// that was believed dead cannot write into the job that another one has taken over.
//
// All writing goes through Store.DB. Of a SQLite file that is one connection, which River shares:
// database/sql queues its users fairly, SQLite's busy handler would not. Of PostgreSQL it is a
// pool, and River has connections of its own. Reading goes through a read-only pool
// (Store.Reader) and is never held up by a write.
package store
