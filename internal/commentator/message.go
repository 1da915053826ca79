package commentator

import (
	"strings"
	"time"
)

// ReplayChannel is the channel of links that were given on the command line.
const ReplayChannel = "replay"

// Message is a Slack message (or a stand-in made by `replay URL`) that may hold links.
// A message is unique by Channel and TS.
type Message struct {
	ID         int64
	Channel    string // Slack channel id, or ReplayChannel
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

// Permalink returns the address of the message in Slack, below that of its workspace. It is empty
// without a workspace, and for what is not in Slack.
func (m Message) Permalink(workspace string) string {
	if workspace == "" || m.Channel == "" || m.Channel == ReplayChannel || m.TS == "" {
		return ""
	}
	link := strings.TrimSuffix(workspace, "/") + "/archives/" + m.Channel +
		"/p" + strings.ReplaceAll(m.TS, ".", "")
	if m.ThreadTS != "" && m.ThreadTS != m.TS {
		link += "?thread_ts=" + m.ThreadTS + "&cid=" + m.Channel
	}
	return link
}
