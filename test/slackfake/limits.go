package slackfake

import (
	"bytes"
	"encoding/json"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

// Limits are how often methods may be called. The zero value of a field is its default; below 0
// there is no limit.
type Limits struct {
	// PostEvery is the time between two posts to a channel, and PostBurst how many may come at
	// once after a pause. Defaults 1 s and 3: Slack promises one a second and allows bursts
	// without saying how long.
	PostEvery time.Duration
	PostBurst int
	// ReadEvery and ReadBurst are those of conversations.history and of conversations.replies,
	// each. Defaults 1.2 s and 50: tier 3, fifty and more a minute.
	ReadEvery time.Duration
	ReadBurst int
}

func (l Limits) withDefaults() Limits {
	if l.PostEvery == 0 {
		l.PostEvery = time.Second
	}
	if l.PostBurst == 0 {
		l.PostBurst = 3
	}
	if l.ReadEvery == 0 {
		l.ReadEvery = 1200 * time.Millisecond
	}
	if l.ReadBurst == 0 {
		l.ReadBurst = 50
	}
	return l
}

// buckets are the limiters, by method and by what a method is limited for.
type buckets struct {
	limits Limits

	mu        sync.Mutex
	of        map[string]*rate.Limiter
	until     map[string]time.Time // when who was refused may come back
	refused   map[string]int       // by method
	impatient map[string]int       // refused, and did not wait as long as asked
}

// refuse returns how long a caller has to wait, in whole seconds; 0: it need not.
func (b *buckets) refuse(method, channel string) int {
	every, burst, key := b.limits.ReadEvery, b.limits.ReadBurst, method
	switch method {
	case "chat.postMessage":
		every, burst, key = b.limits.PostEvery, b.limits.PostBurst, method+" "+channel
	case "conversations.history", "conversations.replies":
	default:
		return 0
	}
	if every < 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of, b.until = map[string]*rate.Limiter{}, map[string]time.Time{}
		b.refused, b.impatient = map[string]int{}, map[string]int{}
	}
	l := b.of[key]
	if l == nil {
		l = rate.NewLimiter(rate.Every(every), burst)
		b.of[key] = l
	}
	now := time.Now()
	if now.Before(b.until[key]) {
		b.impatient[method]++
	} else {
		r := l.ReserveN(now, 1)
		wait := r.DelayFrom(now)
		if wait == 0 {
			return 0
		}
		r.CancelAt(now)
		b.until[key] = now.Add(time.Duration(math.Ceil(wait.Seconds())) * time.Second)
	}
	b.refused[method]++
	return max(1, int(math.Ceil(b.until[key].Sub(now).Seconds())))
}

// Refusals are answers that a limit asked for.
type Refusals struct {
	Refused   map[string]int `json:"refused"`   // by method
	Impatient map[string]int `json:"impatient"` // those of them to a caller who came back too early
}

// Refusals says how often limits were met.
func (w *Workspace) Refusals() Refusals {
	w.buckets.mu.Lock()
	defer w.buckets.mu.Unlock()
	r := Refusals{map[string]int{}, map[string]int{}}
	for m, n := range w.buckets.refused {
		r.Refused[m] = n
	}
	for m, n := range w.buckets.impatient {
		r.Impatient[m] = n
	}
	return r
}

// Forget forgets whom it asked to wait, as the caller does who dies: it is not impatient when it
// comes back.
func (w *Workspace) Forget() {
	w.buckets.mu.Lock()
	defer w.buckets.mu.Unlock()
	clear(w.buckets.until)
}

// Slack's documented limits of a message.
const (
	MaxBlocks       = 50
	MaxSectionText  = 3000
	MaxHeaderText   = 150
	MaxFields       = 10
	MaxFieldText    = 2000
	MaxElements     = 10 // of a context block
	MaxBlockID      = 255
	MaxText         = 40000
	MaxMarkdownText = 12000 // of all markdown blocks of a message together
	// MaxBlocksText is not documented: about so many characters of blocks are too many
	// (github.com/slackapi/bolt-js/issues/2509).
	MaxBlocksText = 13000
	MaxMetadata   = 16 << 10 // bytes
)

type textObject struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type block struct {
	Type     string          `json:"type"`
	BlockID  string          `json:"block_id"`
	Text     json.RawMessage `json:"text"`
	Fields   []textObject    `json:"fields"`
	Elements []struct {
		Type string          `json:"type"`
		Text json.RawMessage `json:"text"`
	} `json:"elements"`
}

// checkPayload returns the error that Slack answers, or "".
func checkPayload(text string, blocks, metadata string) string {
	if utf8.RuneCountInString(text) > MaxText {
		return "msg_too_long"
	}
	if metadata != "" {
		if e := checkMetadata(metadata); e != "" {
			return e
		}
	}
	if blocks == "" {
		if text == "" {
			return "no_text"
		}
		return ""
	}
	var list []block
	decoder := json.NewDecoder(bytes.NewReader([]byte(blocks)))
	if err := decoder.Decode(&list); err != nil {
		return "invalid_blocks_format"
	}
	if len(list) == 0 && text == "" {
		return "no_text"
	}
	if len(list) > MaxBlocks {
		return "invalid_blocks"
	}
	ids := map[string]bool{}
	all, markdown := 0, 0
	for _, b := range list {
		size, ok := b.check()
		if b.BlockID != "" && (ids[b.BlockID] || len(b.BlockID) > MaxBlockID) {
			ok = false
		}
		if ids[b.BlockID] = true; !ok {
			return "invalid_blocks"
		}
		if all += size; b.Type == "markdown" {
			markdown += size
		}
	}
	if markdown > MaxMarkdownText {
		return "msg_too_long"
	}
	if all > MaxBlocksText {
		return "msg_blocks_too_long"
	}
	return ""
}

// check reports how many characters a block holds, and whether it is within its limits.
func (b block) check() (size int, ok bool) {
	object := func(raw json.RawMessage, most int, types ...string) bool {
		var t textObject
		if json.Unmarshal(raw, &t) != nil {
			return false
		}
		n := utf8.RuneCountInString(t.Text)
		size += n
		for _, kind := range types {
			if t.Type == kind {
				return n > 0 && n <= most
			}
		}
		return false
	}
	switch b.Type {
	case "section":
		ok = len(b.Text) > 0 || len(b.Fields) > 0
		if len(b.Text) > 0 {
			ok = object(b.Text, MaxSectionText, "mrkdwn", "plain_text")
		}
		for _, f := range b.Fields {
			n := utf8.RuneCountInString(f.Text)
			size += n
			ok = ok && n > 0 && n <= MaxFieldText
		}
		return size, ok && len(b.Fields) <= MaxFields
	case "header":
		ok = object(b.Text, MaxHeaderText, "plain_text")
		return size, ok
	case "markdown":
		var text string
		ok = json.Unmarshal(b.Text, &text) == nil && text != ""
		return utf8.RuneCountInString(text), ok
	case "context":
		ok = len(b.Elements) > 0 && len(b.Elements) <= MaxElements
		for _, e := range b.Elements {
			if e.Type == "image" {
				continue
			}
			var text string
			if json.Unmarshal(e.Text, &text) != nil || text == "" {
				return size, false
			}
			size += utf8.RuneCountInString(text)
		}
		return size, ok
	case "divider":
		return 0, true
	case "rich_text":
		return 0, len(b.Elements) > 0
	}
	return 0, false
}

func checkMetadata(raw string) string {
	var m Metadata
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		return "invalid_metadata_format"
	}
	var payload map[string]any
	if m.EventType == "" || json.Unmarshal(m.EventPayload, &payload) != nil || payload == nil {
		return "invalid_metadata_schema"
	}
	if len(raw) > MaxMetadata {
		return "metadata_too_large"
	}
	return ""
}
