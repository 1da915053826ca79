package slackfake

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Pages of conversations.history and conversations.replies.
const (
	historyPage = 100
	repliesPage = 1000
	maxPage     = 999
)

// history answers conversations.history: newest first, without replies.
func (c *call) history() {
	if !c.known() {
		return
	}
	if c.w.cfg.Happen(History) {
		c.hangUp()
	}
	c.w.mu.Lock()
	var list []*Message
	for _, m := range c.w.messages[c.args["channel"]] {
		if m.ThreadTS == "" && !m.Deleted && c.between(m.TS) {
			list = append(list, m)
		}
	}
	slices.Reverse(list)
	c.page(list, historyPage)
}

// replies answers conversations.replies: the message that began the thread, then the replies,
// oldest first.
func (c *call) replies() {
	if !c.known() {
		return
	}
	if c.w.cfg.Happen(Searched) {
		c.hangUp()
	}
	c.w.mu.Lock()
	first := c.w.find(c.args["channel"], c.args["ts"])
	if first == nil {
		c.w.mu.Unlock()
		c.refuse("thread_not_found")
		return
	}
	thread := first.TS
	if first.ThreadTS != "" {
		thread = first.ThreadTS
	}
	var list []*Message
	for _, m := range c.w.messages[c.args["channel"]] {
		if m.Deleted || m.TS != thread && m.ThreadTS != thread {
			continue
		}
		if m.BotID != "" && time.Since(m.At) < c.w.cfg.UnseenFor {
			continue
		}
		if m.TS == thread || c.between(m.TS) {
			list = append(list, m)
		}
	}
	c.page(list, repliesPage)
}

// between reports whether a timestamp is within what was asked for.
func (c *call) between(ts string) bool {
	inclusive := c.args["inclusive"] == "1" || c.args["inclusive"] == "true"
	after := func(a, b string) bool { return compare(a, b) > 0 || inclusive && compare(a, b) == 0 }
	return (c.args["oldest"] == "" || after(ts, c.args["oldest"])) && (c.args["latest"] == "" || after(c.args["latest"], ts))
}

// compare orders timestamps, which may be whole seconds or have fewer digits in questions.
func compare(a, b string) int {
	return strings.Compare(padded(a), padded(b))
}

func padded(ts string) string {
	seconds, micros, _ := strings.Cut(ts, ".")
	if len(seconds) < 12 {
		seconds = strings.Repeat("0", 12-len(seconds)) + seconds
	}
	return seconds + (micros + "000000")[:6]
}

// page answers a part of a list that begins where the cursor says, and releases the lock.
func (c *call) page(list []*Message, size int) {
	defer c.w.mu.Unlock()
	if n, err := strconv.Atoi(c.args["limit"]); err == nil && n > 0 {
		size = min(n, maxPage)
	}
	start := 0
	if cursor := c.args["cursor"]; cursor != "" {
		raw, err := base64.StdEncoding.DecodeString(cursor)
		ts, ok := strings.CutPrefix(string(raw), "next_ts:")
		if err != nil || !ok {
			c.refuse("invalid_cursor")
			return
		}
		start = slices.IndexFunc(list, func(m *Message) bool { return m.TS == ts })
		if start < 0 {
			c.refuse("invalid_cursor")
			return
		}
	}
	end := min(start+size, len(list))
	withMetadata := c.args["include_all_metadata"] == "1" || c.args["include_all_metadata"] == "true"
	messages := []map[string]any{}
	for _, m := range list[start:end] {
		b := m.body()
		delete(b, "channel")
		delete(b, "channel_type")
		delete(b, "event_ts")
		if withMetadata && m.Metadata != nil {
			b["metadata"] = m.Metadata
		}
		if n := c.w.replyCount(m); n > 0 {
			b["thread_ts"], b["reply_count"] = m.TS, n
		}
		var reactions []map[string]any
		for name, people := range m.Reactions {
			if len(people) > 0 {
				reactions = append(reactions, map[string]any{"name": name, "users": people, "count": len(people)})
			}
		}
		if reactions != nil {
			b["reactions"] = reactions
		}
		messages = append(messages, b)
	}
	fields := map[string]any{"messages": messages, "has_more": end < len(list)}
	if end < len(list) {
		fields["response_metadata"] = map[string]any{"next_cursor": base64.StdEncoding.EncodeToString([]byte("next_ts:" + list[end].TS))}
	}
	c.answer(fields)
}

// replyCount is how many replies a message has.
func (w *Workspace) replyCount(first *Message) (n int) {
	if first.ThreadTS != "" {
		return 0
	}
	for _, m := range w.messages[first.Channel] {
		if m.ThreadTS == first.TS && !m.Deleted {
			n++
		}
	}
	return n
}
