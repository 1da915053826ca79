package slack

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slack-go/slack/slackevents"

	"github.com/technoshare/commentator/internal/commentator"
)

// Codes of the errors of ParseEnvelope and ParseEvent.
const (
	CodeMalformedEvent   = "malformed_event"
	CodeUnsupportedEvent = "unsupported_event"
)

// Kind is what an envelope holds.
type Kind string

// The kinds.
const (
	KindMessage      Kind = "message"          // a new message
	KindEdit         Kind = "edit"             // the text of a message changed, or the message is gone
	KindReaction     Kind = "reaction"         // one was added or taken away
	KindVerification Kind = "url_verification" // Slack asks whether the address is ours
	KindOther        Kind = "other"            // what nobody here uses
)

// Envelope is what Slack delivered, over HTTP or Socket Mode.
type Envelope struct {
	Kind    Kind
	Type    string // Slack's name of the event, with its subtype if any: "message/channel_join"
	EventID string // empty when unknown
	// Bots are the users as whom this app is installed.
	Bots []string

	Message   Posted               // with KindMessage, and the new state of it with KindEdit
	Edit      commentator.Edit     // with KindEdit
	Reaction  commentator.Reaction // with KindReaction
	Challenge string               // with KindVerification: the answer
}

// Posted is a message as Slack describes it, in an event or in the history of a channel.
//
// The text of its Message also holds, at its end, the links that only its blocks name.
type Posted struct {
	commentator.Message
	SubType  string // Slack's, such as "channel_join"; empty for a plain message
	Bot      bool   // a bot or an app wrote it
	EditedTS string // Slack's time of the newest edit; empty when there was none
}

// Gone reports whether this is only the mark that a message with replies was deleted.
func (p Posted) Gone() bool { return p.SubType == tombstone }

// Written reports whether somebody wrote it: it is no notice, such as that a person joined.
func (p Posted) Written() bool { return slices.Contains(written, p.SubType) }

// Broadcast reports whether it is a reply in a thread that was sent to the channel too.
func (p Posted) Broadcast() bool { return p.SubType == "thread_broadcast" }

var written = []string{"", "file_share", "thread_broadcast", "me_message", "bot_message"}

// ParseEnvelope reads what Slack posts to an Events API address, and what it sends as the
// payload of an events_api request in Socket Mode. The errors are final and of type
// *commentator.Error, with CodeMalformedEvent.
//
// It reads no more than it needs: slack-go's own reader refuses a message for an unknown
// element in a block, and every event that is newer than itself.
func ParseEnvelope(raw []byte, receivedAt time.Time) (Envelope, error) {
	if err := checkJSON(raw); err != nil {
		return Envelope{}, malformed(err)
	}
	var outer struct {
		Type           string          `json:"type"`
		Challenge      string          `json:"challenge"`
		EventID        string          `json:"event_id"`
		Event          json.RawMessage `json:"event"`
		Authorizations []struct {
			UserID string `json:"user_id"`
			IsBot  bool   `json:"is_bot"`
		} `json:"authorizations"`
	}
	if err := json.Unmarshal(raw, &outer); err != nil {
		return Envelope{}, malformed(fmt.Errorf(`want an object {"type":"event_callback","event":{…}}%s`, otherType(err)))
	}
	e := Envelope{Kind: KindOther, Type: outer.Type, EventID: outer.EventID}
	for _, a := range outer.Authorizations {
		if a.IsBot && a.UserID != "" {
			e.Bots = append(e.Bots, a.UserID)
		}
	}
	switch outer.Type {
	case slackevents.URLVerification:
		e.Kind, e.Challenge = KindVerification, outer.Challenge
		return e, nil
	case slackevents.CallbackEvent:
		return e, e.read(outer.Event, receivedAt)
	case "":
		return e, malformed(errors.New("type is missing"))
	}
	return e, nil
}

// read fills the envelope from its event.
func (e *Envelope) read(raw json.RawMessage, receivedAt time.Time) error {
	var event struct {
		Type string `json:"type"`
	}
	if len(raw) == 0 || string(raw) == "null" {
		return malformed(errors.New("missing or null event"))
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		return malformed(fmt.Errorf("event: %w", err))
	}
	e.Type = event.Type
	switch slackevents.EventsAPIType(event.Type) {
	case slackevents.Message:
		return e.readMessage(raw, receivedAt)
	case slackevents.ReactionAdded, slackevents.ReactionRemoved:
		return e.readReaction(raw, receivedAt)
	case "":
		return malformed(errors.New("event.type is missing"))
	}
	return nil
}

// readReaction reads a reaction. One that is on a file or has no author is nobody's business.
func (e *Envelope) readReaction(raw json.RawMessage, receivedAt time.Time) error {
	var r struct {
		Type     string `json:"type"`
		User     string `json:"user"`
		Reaction string `json:"reaction"`
		EventTS  string `json:"event_ts"`
		Item     struct {
			Type    string `json:"type"`
			Channel string `json:"channel"`
			TS      string `json:"ts"`
		} `json:"item"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return malformed(fmt.Errorf("event: %w", err))
	}
	if r.User == "" || r.Reaction == "" || r.Item.Channel == "" || r.Item.TS == "" {
		return nil
	}
	e.Kind = KindReaction
	e.Reaction = commentator.Reaction{
		Channel: r.Item.Channel, MessageTS: r.Item.TS, User: r.User, Name: withoutSkinTone(r.Reaction),
		Added: r.Type == string(slackevents.ReactionAdded), EventTS: r.EventTS, EventID: e.EventID, ReceivedAt: receivedAt,
	}
	return nil
}

// otherType says what JSON holds in place of what is wanted, without the Go type that
// encoding/json names.
func otherType(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &kind):
		return ": " + err.Error()
	case kind.Field == "":
		return ", found: " + kind.Value
	}
	return fmt.Sprintf("; its %s cannot be: %s", kind.Field, kind.Value)
}

// ParseEvent reads the envelope of a new message of a person, as Slack posts it to an Events
// API address: {"type":"event_callback","event":{"type":"message",…}}. The errors are final
// and of type *commentator.Error.
func ParseEvent(raw []byte, receivedAt time.Time) (Posted, error) {
	none := Posted{}
	e, err := ParseEnvelope(raw, receivedAt)
	if err != nil {
		return none, err
	}
	switch {
	case e.Kind == KindMessage && e.Message.Bot:
		return none, unsupported("a bot wrote it; only messages of people are commented on")
	case e.Kind == KindMessage && !e.Message.Written():
		return none, unsupported("it is a message of subtype %q; only messages of people are commented on", e.Message.SubType)
	case e.Kind == KindMessage:
		return e.Message, nil
	case isBare(raw):
		return none, unsupported("its type is %q, want event_callback; give the whole envelope that Slack posts, not only its event", e.Type)
	}
	return none, unsupported("it holds an event of type %q, want a new message", e.Type)
}

// isBare reports whether the text is an event without its envelope.
func isBare(raw []byte) bool {
	var outer struct {
		Type string `json:"type"`
	}
	return json.Unmarshal(raw, &outer) == nil && outer.Type != slackevents.CallbackEvent
}
