package slack

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// rawMessage is what is read of a message: of the event of a new one, of the one inside the
// event of a change, and of one in the history.
type rawMessage struct {
	SubType    string          `json:"subtype"`
	Channel    string          `json:"channel"`
	User       string          `json:"user"`
	BotID      string          `json:"bot_id"`
	BotProfile json.RawMessage `json:"bot_profile"`
	Text       string          `json:"text"`
	TS         string          `json:"ts"`
	ThreadTS   string          `json:"thread_ts"`
	EventTS    string          `json:"event_ts"`
	DeletedTS  string          `json:"deleted_ts"`
	Edited     *struct {
		TS string `json:"ts"`
	} `json:"edited"`
	Blocks   json.RawMessage `json:"blocks"`
	Message  *rawMessage     `json:"message"`
	Previous *rawMessage     `json:"previous_message"`
}

// tombstone is the subtype of the mark that Slack leaves where a message with replies was
// deleted.
const tombstone = "tombstone"

// slackbot is the user as whom Slack itself writes.
const slackbot = "USLACKBOT"

func (m *rawMessage) posted(channel string, receivedAt time.Time) Posted {
	p := Posted{
		Message: commentator.Message{
			Channel: channel, TS: m.TS, ThreadTS: m.ThreadTS, User: m.User, Text: m.text(), ReceivedAt: receivedAt,
		},
		SubType: m.SubType,
		Bot:     m.BotID != "" || m.SubType == "bot_message" || len(m.BotProfile) > 0 && string(m.BotProfile) != "null" || m.User == slackbot,
	}
	if p.ThreadTS == p.TS {
		p.ThreadTS = "" // Slack names the thread of a message that has replies after itself
	}
	if m.Edited != nil {
		p.EditedTS = m.Edited.TS
	}
	return p
}

// text is the message's text and, in lines of their own, the links that only its blocks have.
func (m *rawMessage) text() string {
	more := blockLinks(m.Blocks)
	if len(more) == 0 {
		return m.Text
	}
	var seen []string
	for _, link := range Links(m.Text, math.MaxInt) {
		seen = append(seen, LinkKey(link))
	}
	text := m.Text
	for _, link := range more {
		if key := LinkKey(link); !slices.Contains(seen, key) {
			seen = append(seen, key)
			text = strings.TrimPrefix(text+"\n<"+inMarkup.Replace(link)+">", "\n")
		}
	}
	return text
}

// inMarkup writes a link so that Slack's <…> holds it.
var inMarkup = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C", " ", "%20", "\n", "%0A", "\t", "%09")

// blockLinks returns the web addresses of the link elements in blocks, in reading order.
// What cannot be read is left out: the text of the message counts in any case.
func blockLinks(blocks json.RawMessage) []string {
	var tree any
	if len(blocks) == 0 || json.Unmarshal(blocks, &tree) != nil {
		return nil
	}
	var links []string
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if link, ok := node["url"].(string); ok && node["type"] == "link" && isWeb(link) {
				links = append(links, link)
			}
			walk(node["elements"])
		}
	}
	walk(tree)
	return links
}

func isWeb(link string) bool {
	lower := strings.ToLower(link)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// readMessage reads an event of type message: a new one, a change, a deletion.
func (e *Envelope) readMessage(raw json.RawMessage, receivedAt time.Time) error {
	var m rawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return malformed(fmt.Errorf("event: %w", err))
	}
	if m.SubType != "" {
		e.Type += "/" + m.SubType
	}
	if m.Channel == "" {
		return malformed(errors.New(`event.channel is missing; Slack sends it as "C0123456789"`))
	}
	switch m.SubType {
	case "message_changed":
		return e.readChange(m, receivedAt)
	case "message_deleted":
		return e.readDeletion(m, receivedAt)
	}
	if m.TS == "" {
		return malformed(errors.New(`event.ts is missing; Slack sends it as "1700000000.000100"`))
	}
	e.Kind, e.Message = KindMessage, m.posted(m.Channel, receivedAt)
	e.Message.EventID = e.EventID
	return nil
}

// readChange reads message_changed. Slack also sends it when it adds a preview of a page or
// counts replies: then the text is as before.
func (e *Envelope) readChange(m rawMessage, receivedAt time.Time) error {
	if m.Message == nil || m.Message.TS == "" {
		return malformed(errors.New("event.message with its ts is missing"))
	}
	if m.Message.SubType == tombstone {
		m.DeletedTS = m.Message.TS
		return e.readDeletion(m, receivedAt)
	}
	e.Kind, e.Message = KindEdit, m.Message.posted(m.Channel, receivedAt)
	e.Edit = commentator.Edit{
		Channel: m.Channel, TS: m.Message.TS, EditTS: cmp.Or(e.Message.EditedTS, m.EventTS), EventID: e.EventID,
		ReceivedAt: receivedAt, User: e.Message.User, Text: e.Message.Text,
	}
	if m.Previous != nil {
		e.Edit.Before = m.Previous.text()
	}
	return nil
}

// readDeletion reads message_deleted, and the change that turns a message with replies into
// the mark that it was deleted.
func (e *Envelope) readDeletion(m rawMessage, receivedAt time.Time) error {
	if m.DeletedTS == "" {
		return malformed(errors.New("event.deleted_ts is missing"))
	}
	e.Kind = KindEdit
	e.Edit = commentator.Edit{
		Channel: m.Channel, TS: m.DeletedTS, EditTS: m.EventTS, EventID: e.EventID, Deleted: true, ReceivedAt: receivedAt,
	}
	if m.Previous == nil {
		e.Message = Posted{Message: commentator.Message{Channel: m.Channel, TS: m.DeletedTS, ReceivedAt: receivedAt}}
		return nil
	}
	e.Message = m.Previous.posted(m.Channel, receivedAt)
	e.Message.TS = m.DeletedTS
	e.Edit.User, e.Edit.Before = e.Message.User, e.Message.Text
	return nil
}

// withoutSkinTone: "+1::skin-tone-3" is a "+1".
func withoutSkinTone(reaction string) string {
	name, _, _ := strings.Cut(reaction, "::")
	return name
}
