package slackfake

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Say lets somebody write a message: Channel, User, ThreadTS, Text and BotID are taken from m.
func (w *Workspace) Say(m Message) Message {
	said, event := w.Write(m)
	w.courier.send(w, event)
	return said
}

// Write is like Say, but nothing delivers the event.
func (w *Workspace) Write(m Message) (Message, Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := *w.add(Message{Channel: m.Channel, User: m.User, BotID: m.BotID, ThreadTS: m.ThreadTS, Text: m.Text})
	return said, w.newEvent(said.Channel, said.TS, said.body())
}

// Edit lets the author of a message change its text. With an empty text nothing but the preview
// of a link changes, which Slack tells as a change of the message too.
func (w *Workspace) Edit(channel, ts, text string) error {
	w.mu.Lock()
	m := w.find(channel, ts)
	if m == nil {
		w.mu.Unlock()
		return fmt.Errorf("edit message %s/%s: it is not there", channel, ts)
	}
	before := m.body()
	at := w.next()
	if text != "" {
		m.Text, m.EditedTS = text, at
	}
	event := w.newEvent(channel, ts, map[string]any{
		"type": "message", "subtype": "message_changed", "hidden": true, "channel": channel, "channel_type": "channel",
		"ts": at, "event_ts": at, "message": m.body(), "previous_message": before,
	})
	w.mu.Unlock()
	w.courier.send(w, event)
	return nil
}

// Delete takes a message away. One that has replies becomes a tombstone, which Slack tells as
// a change of the message.
func (w *Workspace) Delete(channel, ts string) error {
	w.mu.Lock()
	m := w.find(channel, ts)
	if m == nil {
		w.mu.Unlock()
		return fmt.Errorf("delete message %s/%s: it is not there", channel, ts)
	}
	before, at := m.body(), w.next()
	inner := map[string]any{
		"type": "message", "hidden": true, "channel": channel, "channel_type": "channel", "ts": at, "event_ts": at, "previous_message": before,
	}
	if w.hasReplies(channel, ts) {
		m.Tombstone, m.Text, m.User = true, "This message was deleted.", "USLACKBOT"
		inner["subtype"], inner["message"] = "message_changed", m.body()
	} else {
		m.Deleted = true
		inner["subtype"], inner["deleted_ts"] = "message_deleted", ts
	}
	event := w.newEvent(channel, ts, inner)
	w.mu.Unlock()
	w.courier.send(w, event)
	return nil
}

// React lets a person put a reaction on a message or take it away.
func (w *Workspace) React(channel, ts, user, name string, added bool) error {
	w.mu.Lock()
	m := w.find(channel, ts)
	if m == nil {
		w.mu.Unlock()
		return fmt.Errorf("react to message %s/%s: it is not there", channel, ts)
	}
	m.react(user, name, added)
	kind := "reaction_added"
	if !added {
		kind = "reaction_removed"
	}
	event := w.newEvent(channel, ts, map[string]any{
		"type": kind, "user": user, "reaction": name, "item_user": m.User, "event_ts": w.next(),
		"item": map[string]any{"type": "message", "channel": channel, "ts": ts},
	})
	w.mu.Unlock()
	w.courier.send(w, event)
	return nil
}

// react reports whether anything changed.
func (m *Message) react(user, name string, added bool) bool {
	if slices.Contains(m.Reactions[name], user) == added {
		return false
	}
	people := slices.DeleteFunc(slices.Clone(m.Reactions[name]), func(u string) bool { return u == user })
	if added {
		people = append(people, user)
	}
	if m.Reactions == nil {
		m.Reactions = map[string][]string{}
	}
	m.Reactions[name] = people
	return true
}

// body is the message as Slack writes it in events and answers.
func (m *Message) body() map[string]any {
	b := map[string]any{
		"type": "message", "user": m.User, "text": m.Text, "ts": m.TS, "team": TeamID,
		"channel": m.Channel, "channel_type": "channel", "event_ts": m.TS,
	}
	if m.ThreadTS != "" {
		b["thread_ts"] = m.ThreadTS
	}
	if m.BotID != "" {
		b["bot_id"] = m.BotID
	}
	if m.EditedTS != "" {
		b["edited"] = map[string]any{"user": m.User, "ts": m.EditedTS}
	}
	if m.Tombstone {
		b["subtype"], b["hidden"] = "tombstone", true
	}
	if m.Blocks != nil {
		b["blocks"] = m.Blocks
	} else if m.BotID == "" && !m.Tombstone {
		b["client_msg_id"] = "8d9a1f60-0000-4000-8000-" + fmt.Sprintf("%012s", digits(m.TS))
		b["blocks"] = []any{map[string]any{"type": "rich_text", "block_id": "b" + digits(m.TS), "elements": []any{
			map[string]any{"type": "rich_text_section", "elements": richText(m.Text)},
		}}}
	}
	return b
}

var markedLink = regexp.MustCompile(`<(https?://[^<>|\s]+)(?:\|[^<>]*)?>`)

// entities are what Slack escapes in the text of a message, and in its blocks not.
var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// richText are the elements that Slack makes of what a person typed.
func richText(text string) []any {
	var elements []any
	plain := func(s string) {
		if s != "" {
			elements = append(elements, map[string]any{"type": "text", "text": entities.Replace(s)})
		}
	}
	end := 0
	for _, at := range markedLink.FindAllStringSubmatchIndex(text, -1) {
		plain(text[end:at[0]])
		elements = append(elements, map[string]any{"type": "link", "url": entities.Replace(text[at[2]:at[3]])})
		end = at[1]
	}
	plain(text[end:])
	return elements
}

// digits are the last twelve of a timestamp.
func digits(ts string) string {
	var d []byte
	for i := range len(ts) {
		if ts[i] != '.' {
			d = append(d, ts[i])
		}
	}
	return string(d[max(0, len(d)-12):])
}
