package migrate

import (
	"database/sql"
	_ "embed" // for schema.sql
)

//go:embed schema.sql
var schemaSQL string

// The statuses of an old job.
const (
	statusPending    = "pending"
	statusProcessing = "processing" // for ever, when the program died meanwhile
	statusDone       = "done"
	statusFailed     = "failed"
)

// statusReceived is what the old program gives a new message.
const statusReceived = "received"

// columns are what an old database must have.
var columns = map[string][]string{
	"messages": {"id", "channel_id", "message_ts", "thread_ts", "user_id", "text", "created_at", "status"},
	"jobs":     {"id", "channel_id", "message_ts", "status", "attempts", "last_error", "created_at", "updated_at"},
}

// Tables are the rows of an old database, in the order of their ids.
type Tables struct {
	Messages []OldMessage
	Jobs     []OldJob

	// LastMessageID and LastJobID are the highest ids that were ever given.
	LastMessageID, LastJobID int64

	// Unknown names tables and columns that are not of the old deployment.
	Unknown []string
}

// OldMessage is a row of messages. Values are as SQLite turns them into text.
type OldMessage struct {
	ID                                                 int64
	Channel, TS, Thread, User, Text, CreatedAt, Status sql.NullString
}

// OldJob is a row of jobs. Values are as SQLite turns them into text.
type OldJob struct {
	ID                                                             int64
	Channel, TS, Status, Attempts, LastError, CreatedAt, UpdatedAt sql.NullString
}

// place identifies a message. Both are NOT NULL in the old tables.
type place struct{ channel, ts string }

func (m OldMessage) place() place { return place{m.Channel.String, m.TS.String} }

func (j OldJob) place() place { return place{j.Channel.String, j.TS.String} }
