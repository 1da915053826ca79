//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/test/slackfake"
)

// channel is the one that is watched.
const channel = "C0TECHSHARE"

// world is what is around the deployment: Slack, the pages that people share, and a model.
type world struct {
	slack   *slackfake.Workspace
	servers []*http.Server
	pages   []string // addresses
	newest  string   // page that was shared last
	env     []string // of the worker
}

func newWorld(top, events string) (*world, error) {
	w := &world{}
	w.slack = slackfake.New(slackfake.Config{
		Channels: []string{channel}, EventsURL: "http://" + events + "/slack/events",
		Limits: slackfake.Limits{PostEvery: -1}, // how posts are spread over time is not rehearsed
		Treat:  func(slackfake.Event) slackfake.Treatment { return slackfake.Treatment{ByHTTP: true} },
	})
	articles := http.FileServer(http.Dir(filepath.Join(top, "data", "demo", "articles")))
	model := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		(&openaitest.Handler{}).ServeHTTP(out, r) // a new one each time: it keeps what it is asked
	})
	var addresses []string
	for _, h := range []http.Handler{w.slack, articles, model} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.close()
			return nil, err
		}
		s := &http.Server{Handler: h}
		go func() { _ = s.Serve(l) }()
		w.servers = append(w.servers, s)
		addresses = append(addresses, "http://"+l.Addr().String())
	}
	w.env = []string{"SLACK_API_URL=" + addresses[0] + "/api/", "OPENAI_BASE_URL=" + addresses[2] + "/v1"}
	found, err := os.ReadDir(filepath.Join(top, "data", "demo", "articles"))
	if err != nil {
		w.close()
		return nil, err
	}
	for _, f := range found {
		w.pages = append(w.pages, addresses[1]+"/"+f.Name())
	}
	return w, nil
}

func (w *world) close() {
	w.slack.Close()
	for _, s := range w.servers {
		_ = s.Close()
	}
}

// person is a message that shares a page.
func person(page string) slackfake.Message {
	return slackfake.Message{Channel: channel, User: slackfake.Person, Text: "Have a look: <" + page + ">"}
}

// reply is what the worker posted in a thread.
type reply struct {
	page   string
	text   string // of all its messages
	blocks string
}

// replies are those to a message so far.
func (w *world) replies(m slackfake.Message, page string) reply {
	r := reply{page: page}
	for _, held := range w.slack.Messages(m.Channel) {
		if held.ThreadTS == m.TS && held.TS != m.TS && held.BotID == slackfake.BotID && !held.Deleted {
			r.text += held.Text
			r.blocks += string(held.Blocks)
		}
	}
	return r
}

// patience is how long a reply, a run or a server may take to be there. It is generous: others
// may use the machine.
const patience = 3 * time.Minute

// answered waits for the replies to messages, which are about the pages.
func (w *world) answered(ctx context.Context, messages []slackfake.Message, pages []string) ([]reply, error) {
	replies := make([]reply, len(messages))
	err := until(ctx, fmt.Sprintf("replies to %d messages", len(messages)), func() (bool, error) {
		for i, m := range messages {
			if replies[i] = w.replies(m, pages[i]); replies[i].text == "" {
				return false, nil
			}
		}
		return true, nil
	})
	return replies, err
}

// share lets people share pages, n in all, and waits for the replies.
func (w *world) share(ctx context.Context, n int) ([]reply, error) {
	var messages []slackfake.Message
	var pages []string
	for i := range n {
		page := w.pages[i%len(w.pages)]
		messages, pages = append(messages, w.slack.Say(person(page))), append(pages, page)
		w.newest = page
	}
	return w.answered(ctx, messages, pages)
}

// same compares replies with what the page's comment is, byte for byte.
func same(replies []reply, reference map[string]reply) error {
	for _, r := range replies {
		want, ok := reference[r.page]
		switch {
		case !ok:
			return fmt.Errorf("nobody knows what the comment on %s has to be", r.page)
		case r.text != want.text:
			return fmt.Errorf("the reply about %s differs at byte %d:\n%s\nwant\n%s", r.page, differ(r.text, want.text), r.text, want.text)
		case want.blocks != "" && r.blocks != want.blocks:
			return fmt.Errorf("the blocks of the reply about %s differ at byte %d", r.page, differ(r.blocks, want.blocks))
		}
	}
	return nil
}

func differ(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// bytesOf is how much was compared.
func bytesOf(replies []reply) (n int) {
	for _, r := range replies {
		n += len(r.text) + len(r.blocks)
	}
	return n
}
