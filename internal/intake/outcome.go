package intake

import (
	"maps"
	"sync"

	"github.com/technoshare/commentator/internal/slack"
)

// Outcome is what became of an event or a message. The refusals of package slack are
// outcomes too.
type Outcome string

// The outcomes.
const (
	Accepted     Outcome = "accepted"         // a new message, written with its jobs
	Edited       Outcome = "edited"           // an edit, applied
	Deleted      Outcome = "deleted"          // a deletion, applied
	Reacted      Outcome = "reaction"         // a reaction, handed on
	Duplicate    Outcome = "duplicate"        // it came before, or something newer did
	NoLinks      Outcome = "no_links"         // plain chatter, not written
	Unchanged    Outcome = "unchanged"        // an edit that left the text as it was, such as a preview
	OtherChannel Outcome = "other_channel"    // of a channel that is not watched
	Bot          Outcome = "bot"              // a bot or an app wrote it
	Own          Outcome = "own"              // this app wrote it
	ThreadReply  Outcome = "thread_reply"     // a reply in a thread that was not sent to the channel
	Notice       Outcome = "notice"           // nobody wrote it, such as that a person joined
	Unknown      Outcome = "unknown"          // an event that is not used here
	Verification Outcome = "url_verification" // Slack asked whether the address is ours
	Malformed    Outcome = "malformed"        // it cannot be read
	Failed       Outcome = "failed"           // it could not be written; Slack is to send it again
)

// What becomes of a link. The last one is not counted.
const (
	LinkJob       = "job"        // it has a job
	LinkCooldown  = "cooldown"   // its page was commented on in the channel not long ago
	LinkOverLimit = "over_limit" // the message has more links than become jobs
	LinkNoJob     = "no_job"     // its message came before and left it without a job
)

// Tally is what events are counted by.
type Tally struct {
	Source  slack.Source
	Outcome Outcome
	Retry   bool // Slack said that it sent it before
}

// counts counts events since the start of the process.
type counts struct {
	mu sync.Mutex
	n  map[Tally]int64
}

func (c *counts) add(t Tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[Tally]int64{}
	}
	c.n[t]++
}

func (c *counts) all() map[Tally]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}
