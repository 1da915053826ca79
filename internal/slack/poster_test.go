package slack

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack/slacktest"

	"github.com/technoshare/commentator/internal/commentator"
)

var (
	message = commentator.Message{Channel: "C0123456789", TS: "1700000000.000100", Text: "x"}
	job     = commentator.Job{ID: 7, StoreID: "6f1a3c52-0000-4000-8000-000000000000", Attempt: 2}
)

// rendered is a comment of some messages.
func rendered(texts ...string) commentator.Rendered {
	r := commentator.Rendered{Text: strings.Join(texts, "\n\n\n")}
	for _, text := range texts {
		blocks, _ := json.Marshal([]any{map[string]any{"type": "rich_text", "elements": []any{
			map[string]any{"type": "rich_text_section", "elements": []any{map[string]any{"type": "text", "text": text}}},
		}}})
		r.Messages = append(r.Messages, commentator.RenderedMessage{Text: text, Blocks: blocks})
	}
	return r
}

// rig is a poster before a fake Slack whose messages show after 2 s.
type rig struct {
	slack *fakeSlack
	posts *memory
	*Poster
}

func newRig() *rig {
	r := &rig{slack: &fakeSlack{visible: 2 * time.Second}, posts: newMemory()}
	r.Poster = NewPoster(PosterConfig{API: r.slack.api(), Posts: r.posts})
	return r
}

// once fails the test unless the thread holds one message, the one that is noted.
func (r *rig) once(t *testing.T, post commentator.Post, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("Post() = %v (%s)", err, commentator.ErrorCode(err))
	}
	there := r.slack.there()
	if len(there) != 1 {
		t.Fatalf("%d messages in the thread", len(there))
	}
	if noted := r.posts.get(job.ID, 0); post.ReplyTS != there[0].ts || noted.ReplyTS != there[0].ts || noted.PostedAt.IsZero() {
		t.Errorf("post %s, noted %+v, in the thread %s", post.ReplyTS, noted, there[0].ts)
	}
}

func TestPosterRepliesInTheThread(t *testing.T) {
	var form url.Values
	server := slacktest.NewTestServer(func(c slacktest.Customize) {
		c.Handle("/chat.postMessage", func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			form = r.Form
			_, _ = w.Write([]byte(`{"ok":true,"channel":"C0123456789","ts":"1700000001.000200"}`))
		})
	})
	server.Start()
	defer server.Stop()
	p := NewPoster(PosterConfig{API: NewAPI(APIConfig{Token: "xoxb-test", APIURL: server.GetAPIURL()}), Posts: newMemory()})
	r := rendered("*tldr*\n• <b> & more.")
	post, err := p.Post(t.Context(), job, message, r)
	if err != nil {
		t.Fatal(err)
	}
	if post.Delivery != DeliverySlack || post.ReplyTS != "1700000001.000200" || post.ThreadTS != message.TS || post.Text != r.Text || post.MoreTS != nil {
		t.Errorf("post = %+v", post)
	}
	var body map[string]any
	if err := json.Unmarshal(post.Payload, &body); err != nil {
		t.Fatal(err)
	}
	// mrkdwn true is Slack's default and slack-go leaves it out.
	want := map[string]any{"channel": "C0123456789", "thread_ts": message.TS, "text": "*tldr*\n• <b> & more.", "mrkdwn": true, "unfurl_links": false, "unfurl_media": false}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	for key, value := range map[string]string{"channel": "C0123456789", "thread_ts": message.TS, "text": want["text"].(string), "unfurl_links": "false", "unfurl_media": "false"} {
		if form.Get(key) != value {
			t.Errorf("sent %s = %q, want %q", key, form.Get(key), value)
		}
	}
	sameJSON(t, "blocks", string(r.Messages[0].Blocks), form.Get("blocks"))
	sameJSON(t, "metadata", `{"event_type":"technoshare_comment","event_payload":{"store_id":"6f1a3c52-0000-4000-8000-000000000000","job_id":7,"part":0}}`, form.Get("metadata"))
	if form.Has("mrkdwn") || form.Has("attachments") || form.Has("link_names") || form.Has("parse") {
		t.Errorf("sent %v", form)
	}
}

func sameJSON(t *testing.T, what, want, got string) {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(want), &a), json.Unmarshal([]byte(got), &b)); err != nil {
		t.Fatalf("%s: %v in %q", what, err, got)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestPosterKeepsWhatDidNotComeFromSlack(t *testing.T) {
	r := newRig()
	post, err := r.Post(t.Context(), job, commentator.Message{Channel: "replay", TS: "1.0"}, rendered("text"))
	if err != nil || post.Delivery != DeliveryStore || len(r.slack.calls) != 0 {
		t.Errorf("Post() = %+v, %v, %d calls", post, err, len(r.slack.calls))
	}
}

// What Slack or the network answers to the first request, and what the attempt comes to.
func TestPosterSaysWhetherARepetitionHelps(t *testing.T) {
	tests := []struct {
		name  string
		a     answer
		code  string
		final bool
	}{
		{"not in channel", answer{body: `{"ok":false,"error":"not_in_channel"}`}, "slack_not_in_channel", true},
		{"lacks a scope", answer{body: `{"ok":false,"error":"missing_scope","needed":"chat:write"}`}, "slack_missing_scope", true},
		{"overloaded", answer{body: `{"ok":false,"error":"service_unavailable"}`}, "slack_service_unavailable", false},
		{"long rate limit", answer{status: 429, after: "61"}, CodeRateLimited, false},
		{"server error", answer{status: 503}, CodeAnswerLost, false},
		{"garbage", answer{body: `<html>`}, CodeAnswerLost, false},
		{"nothing", answer{body: `{}`}, CodeAnswerLost, false},
		{"forbidden", answer{status: 403}, "slack_http_403", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.slack.answer = func(method string, n int) answer {
					if method == methodPost && n == 1 {
						return tt.a
					}
					return answer{}
				}
				_, err := r.Post(t.Context(), job, message, rendered("text"))
				if commentator.ErrorCode(err) != tt.code || commentator.IsFinal(err) != tt.final {
					t.Errorf("error = %v (%s, final %v); want %s, final %v", err, commentator.ErrorCode(err), commentator.IsFinal(err), tt.code, tt.final)
				}
				if n := r.slack.made(methodPost); n != 1 || len(r.slack.there()) != 0 {
					t.Errorf("%d posts, %d messages", n, len(r.slack.there()))
				}
				if strings.Contains(err.Error(), "hush") || tt.name == "lacks a scope" && !strings.Contains(err.Error(), "chat:write") {
					t.Errorf("message %q", err)
				}
				if tt.final {
					return
				}
				time.Sleep(2 * time.Minute)
				post, err := r.Post(t.Context(), job, message, rendered("text"))
				r.once(t, post, err)
			})
		})
	}
}

func TestPosterSaysThatSlackCannotBeReached(t *testing.T) {
	p := NewPoster(PosterConfig{API: NewAPI(APIConfig{Token: "xoxb-test", APIURL: "http://127.0.0.1:1/"}), Posts: newMemory()})
	_, err := p.Post(t.Context(), job, message, rendered("text"))
	if commentator.ErrorCode(err) != CodeUnreachable || commentator.IsFinal(err) {
		t.Errorf("refused connection: %v", err)
	}
}

// A server that takes the request and never answers.
func TestPosterGivesUpOnASlackThatHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	p := NewPoster(PosterConfig{API: NewAPI(APIConfig{Token: "xoxb-test", APIURL: server.URL + "/", Timeout: 50 * time.Millisecond}), Posts: newMemory()})
	_, err := p.Post(t.Context(), job, message, rendered("text"))
	if commentator.ErrorCode(err) != CodeAnswerLost || commentator.IsFinal(err) {
		t.Errorf("error = %v (%s)", err, commentator.ErrorCode(err))
	}
}

func TestALostAnswerIsLookedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, n int) answer { return answer{lost: method == methodPost && n == 1} }
		start := time.Now()
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		r.once(t, post, err)
		if took := time.Since(start); took < r.slack.visible || took > visibleAfter || r.slack.made(methodPost) != 1 {
			t.Errorf("%s, %d posts", took, r.slack.made(methodPost))
		}
	})
}

// A request that never reached Slack fails the attempt; the next one posts.
func TestALostRequestIsRepeatedByTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, n int) answer { return answer{dropped: method == methodPost && n == 1} }
		_, err := r.Post(t.Context(), job, message, rendered("text"))
		if commentator.ErrorCode(err) != CodeAnswerLost || commentator.IsFinal(err) {
			t.Fatalf("error = %v (%s)", err, commentator.ErrorCode(err))
		}
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		r.once(t, post, err)
	})
}

// The process died between Slack's answer and the note of it. Slack shows the post late, and on
// the second page of the thread.
func TestACommentOfADeadProcessIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.posted(mark{"another store", job.ID, 0})
		r.slack.posted(mark{job.StoreID, job.ID + 1, 0})
		r.slack.posted(mark{job.StoreID, job.ID, 1})
		r.slack.posted(mark{job.StoreID, job.ID, commentator.PartNotice})
		r.posts.put(commentator.Reply{JobID: job.ID, Attempt: 1, AskedAt: time.Now()})
		want := r.slack.posted(mark{job.StoreID, job.ID, 0})
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		if err != nil || post.ReplyTS != want || r.posts.get(job.ID, 0).ReplyTS != want || r.slack.made(methodPost) != 0 {
			t.Errorf("Post() = %+v, %v after %d posts; want %s", post, err, r.slack.made(methodPost), want)
		}
	})
}

// The process died before its request. The next one waits as long as one that lives could still
// send it, and then posts.
func TestACommentThatIsNowhereIsPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.posts.put(commentator.Reply{JobID: job.ID, Attempt: 1, AskedAt: time.Now()})
		start := time.Now()
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		r.once(t, post, err)
		if took, least := time.Since(start), r.api.timeout+visibleAfter; took < least || took > least+time.Second {
			t.Errorf("posted after %s, want %s", took, least)
		}
		if noted := r.posts.get(job.ID, 0); noted.Attempt != job.Attempt {
			t.Errorf("noted %+v", noted)
		}
	})
}

// An attempt elsewhere has asked and sends its request as late as it may.
func TestNobodyPostsWhileARequestMayBeOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.posts.put(commentator.Reply{JobID: job.ID, Attempt: 1, AskedAt: time.Now()})
		go func() {
			time.Sleep(r.api.timeout - time.Millisecond)
			r.slack.posted(mark{job.StoreID, job.ID, 0})
		}()
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		r.once(t, post, err)
	})
}

// A row of an hour ahead: the clock was set back. Nobody waits for an hour.
func TestAClockThatWasSetBackHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.posts.put(commentator.Reply{JobID: job.ID, Attempt: 1, AskedAt: time.Now().Add(time.Hour)})
		start := time.Now()
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		r.once(t, post, err)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("posted after %s", took)
		}
	})
}

func TestWhoMayNotPostSendsNothing(t *testing.T) {
	fenced := errors.New("the attempt no longer owns the job")
	for _, want := range []error{fenced, commentator.ErrWithdrawn} {
		r := newRig()
		r.posts.forbid = want
		_, err := r.Post(t.Context(), job, message, rendered("text"))
		if !errors.Is(err, want) || len(r.slack.calls) != 0 {
			t.Errorf("Post() = %v after %d calls, want %v", err, len(r.slack.calls), want)
		}
	}
}

// Slack posts a reply to a message that is gone into the channel and says so by naming no thread.
func TestACommentOnAMessageThatIsGoneIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, n int) answer {
			switch {
			case method == methodPost:
				return r.slack.inChannel()
			case method == methodDelete && n < 3:
				return answer{status: 500}
			}
			return answer{}
		}
		if _, err := r.Post(t.Context(), job, message, rendered("text")); !errors.Is(err, commentator.ErrWithdrawn) {
			t.Errorf("Post() = %v", err)
		}
		if r.slack.made(methodPost) != 1 || len(r.slack.there()) != 0 {
			t.Errorf("%d posts, %d messages are left", r.slack.made(methodPost), len(r.slack.there()))
		}
	})
}

// A thread that cannot be read forbids to post: the comment may be there.
func TestWithoutALookIntoTheThreadNobodyRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.posts.put(commentator.Reply{JobID: job.ID, Attempt: 1, AskedAt: time.Now()})
		r.slack.answer = func(string, int) answer {
			return answer{body: `{"ok":false,"error":"missing_scope","needed":"channels:history"}`}
		}
		_, err := r.Post(t.Context(), job, message, rendered("text"))
		if commentator.ErrorCode(err) != "slack_missing_scope" || !strings.Contains(err.Error(), "channels:history") || r.slack.made(methodPost) != 0 {
			t.Errorf("Post() = %v after %d posts", err, r.slack.made(methodPost))
		}
	})
}

// A process that slept between question and request posts a second one: it takes it back.
func TestASecondCommentIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		var first string
		r.slack.answer = func(method string, n int) answer {
			if method == methodPost {
				// The lock is held: what happens elsewhere meanwhile is written as it is.
				metadata, _ := json.Marshal(mark{job.StoreID, job.ID, 0}.metadata())
				first = r.slack.add(message.Channel, message.Thread(), metadata).ts
				r.posts.put(commentator.Reply{JobID: job.ID, ReplyTS: first, PostedAt: time.Now()})
			}
			return answer{}
		}
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		r.once(t, post, err)
		if post.ReplyTS != first {
			t.Errorf("reply %s, want %s", post.ReplyTS, first)
		}
	})
}

func TestLongCommentsAreContinuedWhereTheyStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, n int) answer {
			if method == methodPost && n == 2 {
				return answer{body: `{"ok":false,"error":"internal_error"}`}
			}
			return answer{}
		}
		long := rendered("one", "two", "three")
		if _, err := r.Post(t.Context(), job, message, long); commentator.ErrorCode(err) != "slack_internal_error" {
			t.Fatalf("Post() = %v", err)
		}
		post, err := r.Post(t.Context(), job, message, long)
		if err != nil {
			t.Fatal(err)
		}
		var texts, ts []string
		for _, m := range r.slack.there() {
			texts, ts = append(texts, m.text), append(ts, m.ts)
		}
		if diff := cmp.Diff([]string{"one", "two", "three"}, texts); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(ts, append([]string{post.ReplyTS}, post.MoreTS...)); diff != "" {
			t.Errorf("timestamps (-thread +post):\n%s", diff)
		}
		var bodies []map[string]any
		if err := json.Unmarshal(post.Payload, &bodies); err != nil || len(bodies) != 3 || bodies[1]["text"] != "two" {
			t.Errorf("payload %s: %v", post.Payload, err)
		}
	})
}

// threadGone is Slack's answer to who looks into the thread of a message that is gone.
var threadGone = answer{body: `{"ok":false,"error":"thread_not_found"}`}

// Slack has not told yet that the message is gone, and the reply that stands in the channel cannot be
// deleted. Neither this process nor the next one, which knows only that it was asked for, adds a second.
func TestAReplyThatCannotBeTakenBackIsNotPostedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, _ int) answer {
			switch method {
			case methodPost:
				return r.slack.inChannel()
			case methodReplies:
				return threadGone
			}
			return answer{status: 500}
		}
		_, err := r.Post(t.Context(), job, message, rendered("text"))
		if !errors.Is(err, commentator.ErrNotTakenBack) || !commentator.IsFinal(err) || commentator.ErrorCode(err) != codeNotTakenBack {
			t.Errorf("Post() = %v (%s)", err, commentator.ErrorCode(err))
		}
		if _, err := r.Post(t.Context(), job, message, rendered("text")); !errors.Is(err, commentator.ErrWithdrawn) {
			t.Errorf("Post() after a crash = %v", err)
		}
		if n := r.slack.made(methodPost); n != 1 {
			t.Errorf("%d posts", n)
		}
	})
}

// The answer was lost, and so is the message: the comment may stand in the channel.
func TestALostAnswerAndALostThreadEndTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, _ int) answer {
			if method == methodReplies {
				return threadGone
			}
			return answer{lost: true}
		}
		if _, err := r.Post(t.Context(), job, message, rendered("text")); !errors.Is(err, commentator.ErrWithdrawn) || r.slack.made(methodPost) != 1 {
			t.Errorf("Post() = %v after %d posts", err, r.slack.made(methodPost))
		}
	})
}

// Slack may not know a thread for a moment, as it may not show a message in it: what counts is the last
// word, and a message that is there has its comment.
func TestAThreadThatIsNotShownAtOnceIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.posts.put(commentator.Reply{JobID: job.ID, Attempt: 1, AskedAt: time.Now()})
		r.slack.answer = func(method string, n int) answer {
			if method == methodReplies && n < 3 {
				return threadGone
			}
			return answer{}
		}
		post, err := r.Post(t.Context(), job, message, rendered("text"))
		r.once(t, post, err)
	})
}

// Without the thread there is nobody to be told of a failure, and nothing in it to delete.
func TestAThreadThatIsGoneHasNoNoticeAndNothingToDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, _ int) answer {
			if method == methodReplies {
				return threadGone
			}
			return answer{}
		}
		r.due(1, message.Channel)
		asked := r.posts.get(1, commentator.PartNotice)
		asked.Attempt = 1
		r.posts.put(asked)
		r.notify(t, "", time.Minute)
		if ids, _ := r.posts.NoticesDue(t.Context()); len(ids) != 0 || r.slack.made(methodPost) != 0 {
			t.Errorf("still due: %v, after %d posts", ids, r.slack.made(methodPost))
		}
		now := time.Now()
		r.posts.put(commentator.Reply{JobID: job.ID, Channel: message.Channel, ThreadTS: message.Thread(), Attempt: 1, AskedAt: now, RetractAt: now})
		r.retract(t, time.Minute)
		if due, _ := r.posts.RetractionsDue(t.Context(), 10); len(due) != 0 || r.slack.made(methodDelete) != 0 {
			t.Errorf("still to be deleted: %v, after %d calls", due, r.slack.made(methodDelete))
		}
	})
}

// A long limit is told with how long it lasts, by whoever ran into it and by whoever comes meanwhile.
func TestALongRateLimitSaysWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, _ int) answer {
			if method == methodPost {
				return answer{status: 429, after: "1800"}
			}
			return answer{}
		}
		for _, want := range []time.Duration{30 * time.Minute, 20 * time.Minute} {
			_, err := r.Post(t.Context(), job, message, rendered("text"))
			if got := commentator.After(err); got > want || got < want-time.Minute {
				t.Errorf("Post() = %v, to be asked after %v, want %v", err, got, want)
			}
			time.Sleep(10 * time.Minute)
		}
		if n := r.slack.made(methodPost); n != 1 {
			t.Errorf("%d posts", n)
		}
	})
}
