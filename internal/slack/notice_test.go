package slack

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

// due notes that a job's notice is due, as the end of the job does.
func (r *rig) due(id int64, channel string) {
	m := message
	m.Channel = channel
	r.posts.put(commentator.Reply{JobID: id, Part: commentator.PartNotice, Channel: channel, ThreadTS: m.Thread(), AskedAt: time.Now()})
	r.posts.mu.Lock()
	defer r.posts.mu.Unlock()
	r.posts.jobs[id] = commentator.Notice{Job: commentator.Job{ID: id, StoreID: job.StoreID, Outcome: commentator.OutcomeError}, Message: m}
}

// notify runs a Notifier for a time; reaction empty: it replies.
func (r *rig) notify(t *testing.T, reaction string, d time.Duration, tell ...int64) {
	t.Helper()
	n := NewNotifier(NotifierConfig{
		API: r.api, Notices: r.posts, Reaction: reaction,
		Render: func(commentator.Job) commentator.RenderedMessage { return rendered("No comment.").Messages[0] },
		Every:  2 * time.Minute,
	})
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	go func() {
		time.Sleep(time.Second)
		for _, id := range tell {
			n.Tell(id)
		}
	}()
	n.Run(ctx)
	synctest.Wait()
}

func TestAFailureIsAReactionOrAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.due(1, message.Channel)
		r.due(2, message.Channel) // another link of the message
		r.due(3, "replay")
		r.notify(t, "warning", time.Minute)
		if diff := cmp.Diff([]string{message.Channel + " " + message.TS + " warning"}, r.slack.reactions); diff != "" {
			t.Errorf("reactions (-want +got):\n%s", diff)
		}
		if ids, _ := r.posts.NoticesDue(t.Context()); len(ids) != 0 || len(r.slack.there()) != 0 {
			t.Errorf("still due: %v, %d messages", ids, len(r.slack.there()))
		}

		r = newRig()
		r.due(1, message.Channel)
		r.notify(t, "", time.Minute, 1)
		r.notify(t, "", time.Minute, 1) // the next process
		there := r.slack.there()
		if len(there) != 1 || there[0].thread != message.Thread() || there[0].text != "No comment." || r.posts.get(1, commentator.PartNotice).ReplyTS != there[0].ts {
			t.Errorf("%d messages, noted %+v", len(there), r.posts.get(1, commentator.PartNotice))
		}
	})
}

// Whatever happens between the end of the job and the note that people know of it: they are told
// once.
func TestAFailureIsToldOnceThroughCrashesAndLostAnswers(t *testing.T) {
	for name, answers := range map[string]map[int]answer{
		"lost answer":  {1: {lost: true}},
		"lost request": {1: {dropped: true}, 2: {dropped: true}},
		"rate limit":   {1: {status: 429, after: "300"}, 2: {status: 429, after: "20"}},
		"overloaded":   {1: {body: `{"ok":false,"error":"internal_error"}`}},
	} {
		for _, reaction := range []string{"", "warning"} {
			t.Run(name+" "+reaction, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig()
					r.slack.answer = func(method string, n int) answer {
						if method == methodPost || method == methodReact {
							return answers[n]
						}
						return answer{}
					}
					r.due(1, message.Channel)
					r.notify(t, reaction, 30*time.Minute, 1)
					if n := len(r.slack.there()) + len(r.slack.reactions); n != 1 {
						t.Errorf("people are told %d times", n)
					}
				})
			})
		}
	}
	t.Run("killed before the note", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			r.due(1, message.Channel)
			r.posts.posted = errors.New("killed")
			r.notify(t, "", time.Second)
			if n := len(r.slack.there()); n != 1 {
				t.Fatalf("%d messages", n)
			}
			r.posts.posted = nil
			r.notify(t, "", time.Minute)
			if n := len(r.slack.there()); n != 1 || r.posts.get(1, commentator.PartNotice).ReplyTS == "" {
				t.Errorf("%d messages, noted %+v", n, r.posts.get(1, commentator.PartNotice))
			}
		})
	})
}

func TestWhatSlackRefusesForGoodIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(string, int) answer {
			return answer{body: `{"ok":false,"error":"missing_scope","needed":"reactions:write"}`}
		}
		r.due(1, message.Channel)
		r.notify(t, "warning", time.Hour)
		r.notify(t, "warning", time.Hour)
		if n := r.slack.made(methodReact); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// Slack posts a reply to a message that is gone into the channel.
func TestNobodyIsToldOfAMessageThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, n int) answer {
			switch {
			case method == methodPost:
				return r.slack.inChannel()
			case method == methodDelete && n == 1:
				return answer{status: 500}
			}
			return answer{}
		}
		r.due(1, message.Channel)
		r.notify(t, "", time.Hour)
		if ids, _ := r.posts.NoticesDue(t.Context()); r.slack.made(methodPost) != 1 || len(r.slack.there()) != 0 || len(ids) != 0 {
			t.Errorf("%d posts, %d messages are left, due %v", r.slack.made(methodPost), len(r.slack.there()), ids)
		}
	})
}

func TestNobodyIsToldWhatSomebodyElseTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.due(1, message.Channel)
		r.posts.forbid = errors.New("somebody else has asked")
		r.notify(t, "", time.Hour)
		if n := r.slack.made(methodPost); n != 0 {
			t.Errorf("%d posts", n)
		}
	})
}

// A process that dies leaves notices to those that work beside it.
func TestWhatAnotherProcessLeftIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		given time.Duration // after which the other process gives it; 0: never
		want  int
	}{"it died": {0, 1}, "it lives": {time.Minute, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				go func() {
					time.Sleep(9*time.Minute + 30*time.Second)
					r.due(1, message.Channel)
					if tt.given > 0 {
						time.Sleep(tt.given)
						_, _ = r.posts.Posted(t.Context(), 1, commentator.PartNotice, "9.9", time.Now()) // never an error
					}
				}()
				r.notify(t, "", time.Hour)
				if n := len(r.slack.there()); n != tt.want {
					t.Errorf("%d messages, want %d", n, tt.want)
				}
				if ids, _ := r.posts.NoticesDue(t.Context()); len(ids) != 0 {
					t.Errorf("still due: %v", ids)
				}
			})
		})
	}
}

func TestWhatWasTriedForLongEnoughWaitsForTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(string, int) answer { return answer{status: 500} }
		r.due(1, message.Channel)
		for starts := range 2 {
			r.notify(t, "warning", 12*time.Hour)
			if n := r.slack.made(methodReact); n != (starts+1)*(1+len(noticeBackoff)) {
				t.Errorf("%d calls after %d starts", n, starts+1)
			}
		}
	})
}

// The mark of a message is the same after its way through Slack's JSON.
func TestMarksAreKnownAgain(t *testing.T) {
	k := mark{"store", 1 << 50, 3}
	raw, err := json.Marshal(k.metadata())
	if err != nil {
		t.Fatal(err)
	}
	back := mark{}.metadata()
	if err := json.Unmarshal(raw, &back); err != nil || !k.isOn(back) || (mark{"store", 1<<50 + 1, 3}).isOn(back) {
		t.Errorf("%s, %v", raw, err)
	}
}
