package commentator

import "time"

// Message is a Slack message (or a stand-in made by `replay URL`) that may hold links.
// A message is unique by Channel and TS.
type Message struct {
	ID         int64
	Channel    string // Slack channel id, "replay" for links given on the command line
	TS         string // Slack timestamp "1700000000.000100"; identifies the message in its channel
	ThreadTS   string // empty when the message starts a thread
	User       string // Slack user id; may be empty
	Text       string // as Slack sent it, with <url|text> links
	EventID    string // Slack event id; empty when unknown
	ReceivedAt time.Time
}

// Thread returns the timestamp of the thread that an answer belongs to.
func (m Message) Thread() string {
	if m.ThreadTS != "" {
		return m.ThreadTS
	}
	return m.TS
}
