package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
)

// fakeSlack is a Slack without a network, for tests whose time is not real: what is posted shows
// in the thread after a while.
type fakeSlack struct {
	visible time.Duration // after a post
	slow    time.Duration // before each answer
	// answer may take the place of Slack's answer to call n of a method, counted from 1.
	answer func(method string, n int) answer

	mu        sync.Mutex
	calls     []call
	messages  []*fakeMessage
	reactions []string // channel, ts and name
}

type call struct {
	method  string
	channel string
	at      time.Time
}

type fakeMessage struct {
	channel, thread, ts, text string
	metadata, blocks          json.RawMessage
	at                        time.Time
	deleted                   bool
}

// answer says what goes wrong with a call; the zero value: nothing.
type answer struct {
	lost    bool   // Slack does what it is asked for, and nobody hears of it
	dropped bool   // the request does not reach Slack
	status  int    // of HTTP
	after   string // Retry-After
	body    string
}

var errCut = errors.New("connection reset by peer")

func (f *fakeSlack) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := pause.For(req.Context(), f.slow); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	method := path.Base(req.URL.Path)
	f.calls = append(f.calls, call{method, form.Get("channel"), time.Now()})
	var a answer
	if f.answer != nil {
		a = f.answer(method, f.count(method))
	}
	if a.dropped {
		return nil, errCut
	}
	if a.status != 0 || a.body != "" {
		return response(max(a.status, http.StatusOK), a.after, a.body), nil
	}
	body := f.do(method, form)
	if a.lost {
		return nil, errCut
	}
	return response(http.StatusOK, "", body), nil
}

func response(status int, after, body string) *http.Response {
	h := http.Header{}
	if after != "" {
		h.Set("Retry-After", after)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func (f *fakeSlack) do(method string, form url.Values) string {
	channel := form.Get("channel")
	switch method {
	case methodPost:
		m := f.add(channel, form.Get("thread_ts"), json.RawMessage(form.Get("metadata")))
		m.text, m.blocks = form.Get("text"), json.RawMessage(form.Get("blocks"))
		return fmt.Sprintf(`{"ok":true,"channel":%q,"ts":%q}`, channel, m.ts)
	case methodReplies:
		list := []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"ts":%q,"text":"look"}`, form.Get("ts")))}
		for _, m := range f.messages {
			if m.channel == channel && m.thread == form.Get("ts") && !m.deleted && time.Since(m.at) >= f.visible {
				list = append(list, json.RawMessage(fmt.Sprintf(`{"ts":%q,"thread_ts":%q,"text":"x","metadata":%s}`, m.ts, m.thread, m.metadata)))
			}
		}
		return page(list, form.Get("cursor"))
	case methodDelete:
		for _, m := range f.messages {
			if m.channel == channel && m.ts == form.Get("ts") && !m.deleted {
				m.deleted = true
				return `{"ok":true}`
			}
		}
		return `{"ok":false,"error":"message_not_found"}`
	case methodReact:
		reaction := channel + " " + form.Get("timestamp") + " " + form.Get("name")
		if slices.Contains(f.reactions, reaction) {
			return `{"ok":false,"error":"already_reacted"}`
		}
		f.reactions = append(f.reactions, reaction)
		return `{"ok":true}`
	}
	return `{"ok":false,"error":"unknown_method"}`
}

// page returns two messages a page.
func page(list []json.RawMessage, cursor string) string {
	from := 0
	_, _ = fmt.Sscanf(cursor, "c%d", &from)
	to := min(from+2, len(list))
	next := ""
	if to < len(list) {
		next = fmt.Sprintf("c%d", to)
	}
	shown, _ := json.Marshal(list[from:to])
	return fmt.Sprintf(`{"ok":true,"messages":%s,"has_more":%v,"response_metadata":{"next_cursor":%q}}`, shown, next != "", next)
}

func (f *fakeSlack) add(channel, thread string, metadata json.RawMessage) *fakeMessage {
	m := &fakeMessage{channel: channel, thread: thread, ts: fmt.Sprintf("1700000001.%06d", len(f.messages)+1), metadata: metadata, at: time.Now()}
	f.messages = append(f.messages, m)
	return m
}

// inChannel adds a message as Slack posts a reply to a message that is gone. The caller holds the
// lock, as the function answer does.
func (f *fakeSlack) inChannel() answer {
	ts := f.add(message.Channel, "", nil).ts
	return answer{body: fmt.Sprintf(`{"ok":true,"channel":%q,"ts":%q,"message":{"type":"message","text":"text","ts":%q}}`, message.Channel, ts, ts)}
}

// posted adds a message as if somebody with this mark had posted it.
func (f *fakeSlack) posted(k mark) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	metadata, _ := json.Marshal(k.metadata())
	return f.add(message.Channel, message.Thread(), metadata).ts
}

func (f *fakeSlack) count(method string) int {
	n := 0
	for _, c := range f.calls {
		if c.method == method {
			n++
		}
	}
	return n
}

func (f *fakeSlack) made(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count(method)
}

// there returns the messages that are not deleted.
func (f *fakeSlack) there() (left []*fakeMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.messages {
		if !m.deleted {
			left = append(left, m)
		}
	}
	return left
}

func (f *fakeSlack) api() *API {
	return NewAPI(APIConfig{Token: "xoxb-hush", APIURL: "http://slack.test/", Transport: f})
}

// memory is a job database of replies.
type memory struct {
	mu      sync.Mutex
	replies map[int64]map[int]*commentator.Reply
	gone    map[replyPart]bool // retracted
	forbid  error              // of AskToPost and AskToNotify
	posted  error              // of Posted
	jobs    map[int64]commentator.Notice
}

func newMemory() *memory {
	return &memory{replies: map[int64]map[int]*commentator.Reply{}, gone: map[replyPart]bool{}, jobs: map[int64]commentator.Notice{}}
}

func (m *memory) put(r commentator.Reply) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.replies[r.JobID] == nil {
		m.replies[r.JobID] = map[int]*commentator.Reply{}
	}
	m.replies[r.JobID][r.Part] = &r
}

func (m *memory) get(job int64, part int) commentator.Reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.replies[job][part]; r != nil {
		return *r
	}
	return commentator.Reply{}
}

func (m *memory) AskToPost(_ context.Context, j commentator.Job, part int, channel, thread string, at time.Time) (commentator.Reply, error) {
	if m.forbid != nil {
		return commentator.Reply{}, m.forbid
	}
	r := m.get(j.ID, part)
	if r.ReplyTS == "" {
		r = commentator.Reply{JobID: j.ID, Part: part, Channel: channel, ThreadTS: thread, Attempt: j.Attempt, AskedAt: at}
		m.put(r)
	}
	return r, nil
}

func (m *memory) Posted(_ context.Context, jobID int64, part int, replyTS string, at time.Time) (string, error) {
	if m.posted != nil {
		return "", m.posted
	}
	r := m.get(jobID, part)
	if r.PostedAt.IsZero() {
		r.ReplyTS, r.PostedAt = replyTS, at
		m.put(r)
	}
	return r.ReplyTS, nil
}

func (m *memory) Replies(_ context.Context, jobID int64) (list []commentator.Reply, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.replies[jobID] {
		list = append(list, *r)
	}
	return list, nil
}

func (m *memory) RetractionsDue(context.Context, int) (list []commentator.Reply, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, parts := range m.replies {
		for _, r := range parts {
			if !m.gone[replyPart{id, r.Part}] && !r.RetractAt.IsZero() {
				list = append(list, *r)
			}
		}
	}
	return list, nil
}

func (m *memory) Retracted(_ context.Context, jobID int64, part int, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone[replyPart{jobID, part}] = true
	return nil
}

func (m *memory) NoticesDue(context.Context) (ids []int64, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.jobs {
		if r := m.replies[id][commentator.PartNotice]; r.PostedAt.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (m *memory) Notice(_ context.Context, jobID int64) (commentator.Notice, bool, error) {
	n := m.jobs[jobID]
	n.Reply = m.get(jobID, commentator.PartNotice)
	return n, n.PostedAt.IsZero(), nil
}

func (m *memory) AskToNotify(_ context.Context, r commentator.Reply, at time.Time) error {
	if m.forbid != nil {
		return m.forbid
	}
	r.Attempt++
	r.AskedAt = at
	m.put(r)
	return nil
}

var (
	_ Posts       = (*memory)(nil)
	_ Retractions = (*memory)(nil)
	_ Notices     = (*memory)(nil)
)
