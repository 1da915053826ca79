package commentator

import "time"

// Edit says that the text of a message changed, or that the message is gone.
type Edit struct {
	Channel    string
	TS         string // of the message
	EditTS     string // Slack's time of the change; orders edits of one message
	EventID    string // empty when unknown
	Text       string // the new text; empty when Deleted
	Deleted    bool
	ReceivedAt time.Time

	// What Slack says of the message itself, for one that was not seen before.
	User   string // Slack user id; may be empty
	Before string // the text before the change; empty when Slack does not say
}

// Reaction is an emoji that a person put on a message or took away.
type Reaction struct {
	Channel    string
	MessageTS  string // the message that it is on
	User       string // Slack user id
	Name       string // without colons and skin tone, such as "+1"
	Added      bool   // false: taken away
	EventTS    string // Slack's time of the event
	EventID    string // empty when unknown
	ReceivedAt time.Time
}
