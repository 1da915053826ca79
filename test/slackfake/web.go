package slackfake

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Moment is something that is under way when Config.Happen is called.
type Moment string

// The moments.
const (
	Asked     Moment = "asked"     // a post was asked for and Slack has not taken it
	Posted    Moment = "posted"    // a post is there, its answer is not sent
	Answered  Moment = "answered"  // the answer to a post is sent
	Searched  Moment = "searched"  // the messages of a thread were asked for; cut: no answer
	History   Moment = "history"   // the messages of a channel were asked for; cut: no answer
	Delivered Moment = "delivered" // an event is sent; cut: its acknowledgement is not heard
	Acked     Moment = "acked"     // an event is acknowledged
)

const maxRequest = 1 << 20 // bytes

// call is a request of the Web API.
type call struct {
	w      *Workspace
	method string
	out    http.ResponseWriter
	token  string
	args   map[string]string
}

// ServeHTTP serves the Web API below /api/ and sockets below /socket/.
func (w *Workspace) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, socketPath) {
		w.serveSocket(out, r)
		return
	}
	method, ok := strings.CutPrefix(r.URL.Path, "/api/")
	if !ok {
		http.NotFound(out, r)
		return
	}
	c := &call{w: w, method: method, out: out}
	if !c.read(r) {
		return
	}
	if c.token == "" {
		c.refuse("not_authed")
		return
	}
	if want := map[bool]string{true: w.cfg.AppToken, false: w.cfg.BotToken}[method == "apps.connections.open"]; c.token != want {
		c.refuse("invalid_auth")
		return
	}
	if wait := w.buckets.refuse(method, c.args["channel"]); wait > 0 {
		out.Header().Set("Retry-After", strconv.Itoa(wait))
		out.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(out, `{"ok":false,"error":"ratelimited"}`)
		return
	}
	switch method {
	case "auth.test":
		c.out.Header().Set("X-OAuth-Scopes", strings.Join(w.cfg.Scopes, ","))
		c.answer(map[string]any{
			"url": "https://fake.slack.com/", "team": "Fake", "team_id": TeamID,
			"user": "commentator", "user_id": BotUser, "bot_id": BotID, "is_enterprise_install": false,
		})
	case "apps.connections.open":
		c.answer(map[string]any{"url": w.sockets.ticket(r.Host)})
	case "chat.postMessage":
		c.post()
	case "chat.delete":
		c.delete()
	case "conversations.history":
		c.history()
	case "conversations.replies":
		c.replies()
	case "reactions.add":
		c.react()
	default:
		c.refuse("unknown_method")
	}
}

// read takes token and arguments from where Slack accepts them: an Authorization header, a form
// or JSON.
func (c *call) read(r *http.Request) bool {
	c.args = map[string]string{}
	c.token, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	r.Body = http.MaxBytesReader(c.out, r.Body, maxRequest)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false // it hung up
		}
		fields := map[string]json.RawMessage{}
		if len(bytes.TrimSpace(body)) > 0 && json.Unmarshal(body, &fields) != nil {
			c.refuse("invalid_json")
			return false
		}
		for name, raw := range fields {
			var text string
			if json.Unmarshal(raw, &text) != nil {
				text = string(raw)
			}
			c.args[name] = text
		}
		return true
	}
	if err := r.ParseMultipartForm(maxRequest); err != nil && r.Form == nil {
		c.refuse("invalid_form_data")
		return false
	}
	for name := range r.Form {
		c.args[name] = r.Form.Get(name)
	}
	if c.token == "" {
		c.token = c.args["token"]
	}
	return true
}

func (c *call) answer(fields map[string]any) {
	fields["ok"] = true
	c.write(fields)
}

func (c *call) refuse(code string) { c.write(map[string]any{"ok": false, "error": code}) }

func (c *call) write(fields map[string]any) {
	c.out.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(c.out).Encode(fields) // who hangs up gets nothing
}

// hangUp ends the connection without an answer.
func (c *call) hangUp() { panic(http.ErrAbortHandler) }

// known refuses channels that do not exist.
func (c *call) known() bool {
	if slices.Contains(c.w.cfg.Channels, c.args["channel"]) {
		return true
	}
	c.refuse("channel_not_found")
	return false
}

func (c *call) post() {
	if !c.known() {
		return
	}
	if e := checkPayload(c.args["text"], c.args["blocks"], c.args["metadata"]); e != "" {
		c.refuse(e)
		return
	}
	if c.w.cfg.Happen(Asked) {
		c.hangUp()
	}
	m := Message{Channel: c.args["channel"], User: BotUser, BotID: BotID, Text: c.args["text"]}
	if b := c.args["blocks"]; b != "" {
		m.Blocks = json.RawMessage(b)
	}
	if raw := c.args["metadata"]; raw != "" {
		m.Metadata = &Metadata{}
		_ = json.Unmarshal([]byte(raw), m.Metadata) // it was checked
	}
	c.w.mu.Lock()
	if parent := c.w.find(m.Channel, c.args["thread_ts"]); parent != nil {
		m.ThreadTS = parent.TS
		if parent.ThreadTS != "" {
			m.ThreadTS = parent.ThreadTS // a reply to a reply is one to its thread
		}
	} // else the post stands in the channel: Slack does not refuse it
	posted := *c.w.add(m)
	event := c.w.newEvent(posted.Channel, posted.TS, posted.body())
	c.w.mu.Unlock()
	c.w.courier.send(c.w, event)
	if c.w.cfg.Happen(Posted) {
		c.hangUp()
	}
	c.answer(map[string]any{"channel": posted.Channel, "ts": posted.TS, "message": posted.body()})
	if f, ok := c.out.(http.Flusher); ok {
		f.Flush()
	}
	c.w.cfg.Happen(Answered)
}

func (c *call) delete() {
	if !c.known() {
		return
	}
	c.w.mu.Lock()
	m := c.w.find(c.args["channel"], c.args["ts"])
	switch {
	case m == nil || m.Tombstone:
		c.w.mu.Unlock()
		c.refuse("message_not_found")
		return
	case m.BotID != BotID:
		c.w.mu.Unlock()
		c.refuse("cant_delete_message")
		return
	}
	c.w.mu.Unlock()
	if err := c.w.Delete(m.Channel, m.TS); err != nil {
		c.refuse("message_not_found")
		return
	}
	c.answer(map[string]any{"channel": m.Channel, "ts": m.TS})
}

func (c *call) react() {
	if !c.known() {
		return
	}
	c.w.mu.Lock()
	m := c.w.find(c.args["channel"], c.args["timestamp"])
	switch {
	case m == nil:
		c.w.mu.Unlock()
		c.refuse("message_not_found")
		return
	case slices.Contains(m.Reactions[c.args["name"]], BotUser):
		c.w.mu.Unlock()
		c.refuse("already_reacted")
		return
	}
	c.w.mu.Unlock()
	if err := c.w.React(m.Channel, m.TS, BotUser, c.args["name"], true); err != nil {
		c.refuse("message_not_found")
		return
	}
	c.answer(map[string]any{})
}
