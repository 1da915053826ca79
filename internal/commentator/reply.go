package commentator

import (
	"encoding/json"
	"errors"
	"time"
)

// Rendered is a comment as Slack shows it: one message, or several when it is too long for one.
type Rendered struct {
	Text     string // the whole comment as mrkdwn
	Messages []RenderedMessage
}

// RenderedMessage is one message within Slack's limits.
type RenderedMessage struct {
	Text   string          // mrkdwn, for notifications and for programs that know no blocks
	Blocks json.RawMessage // the array of Block Kit blocks
}

// PartNotice is the part of a Reply that tells of a failure. A comment has the parts 0, 1, ….
const PartNotice = -1

// Reply is a message that Slack was asked for on behalf of a job.
type Reply struct {
	JobID     int64
	Part      int // of the comment, or PartNotice
	Channel   string
	ThreadTS  string
	Attempt   int       // the job's attempt that asked last; of a notice: how often it was asked for
	AskedAt   time.Time // when it asked
	ReplyTS   string    // Slack's timestamp; empty: it is not known whether Slack took it
	PostedAt  time.Time // zero: likewise
	RetractAt time.Time // since when it is to be deleted; zero: it stays
}

// Notice is a failure that people in Slack are to be told of.
type Notice struct {
	Reply
	Job     Job
	Message Message
}

// ErrWithdrawn ends a job whose message or link was taken back before its comment was posted.
var ErrWithdrawn error = &Error{
	Code: "withdrawn", Final: true,
	Message: "The message or its link was taken back before the comment was posted",
}

// ErrNotTakenBack is wrapped by the final error of a post that Slack put into the channel, because
// the message is gone, and that could not be deleted. Nobody may post such a comment again.
var ErrNotTakenBack = errors.New("the reply could not be deleted")
