package slack

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// retract runs a Retractor for a time.
func (r *rig) retract(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	NewRetractor(RetractorConfig{API: r.api, Retractions: r.posts, StoreID: job.StoreID}).Run(ctx)
}

func TestRepliesWhoseLinkIsTakenBackAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		reply := commentator.Reply{JobID: job.ID, Channel: message.Channel, ThreadTS: message.Thread(), Attempt: 1, AskedAt: now, RetractAt: now}
		tests := []struct {
			name    string
			replies func(*rig) []commentator.Reply
			left    int // messages in the thread
			calls   map[string]int
		}{
			{"posted", func(r *rig) []commentator.Reply {
				reply := reply
				reply.ReplyTS, reply.PostedAt = r.slack.posted(mark{job.StoreID, job.ID, 0}), now
				return []commentator.Reply{reply}
			}, 0, map[string]int{methodDelete: 1}},
			{"in three parts, of which one is not known to be posted", func(r *rig) (parts []commentator.Reply) {
				for part := range 3 {
					reply := reply
					reply.Part, reply.AskedAt = part, time.Now()
					if ts := r.slack.posted(mark{job.StoreID, job.ID, part}); part < 2 {
						reply.ReplyTS, reply.PostedAt = ts, now
					}
					parts = append(parts, reply)
				}
				return parts
			}, 0, map[string]int{methodDelete: 3}},
			{"deleted by somebody", func(*rig) []commentator.Reply {
				reply := reply
				reply.ReplyTS, reply.PostedAt = "1699999999.000100", now
				return []commentator.Reply{reply}
			}, 0, map[string]int{methodDelete: 1}},
			{"not known to be posted, and there", func(r *rig) []commentator.Reply {
				r.slack.posted(mark{job.StoreID, job.ID, 0})
				r.slack.posted(mark{job.StoreID, job.ID + 1, 0})
				reply := reply
				reply.AskedAt = time.Now()
				return []commentator.Reply{reply}
			}, 1, map[string]int{methodDelete: 1}},
			{"not to be deleted by us", func(r *rig) []commentator.Reply {
				r.slack.answer = func(method string, _ int) answer {
					if method == methodDelete {
						return answer{body: `{"ok":false,"error":"cant_delete_message"}`}
					}
					return answer{}
				}
				reply := reply
				reply.ReplyTS, reply.PostedAt = r.slack.posted(mark{job.StoreID, job.ID, 0}), now
				return []commentator.Reply{reply}
			}, 1, map[string]int{methodDelete: 1}},
			{"never posted", func(*rig) []commentator.Reply { return []commentator.Reply{reply} }, 0, map[string]int{methodDelete: 0}},
			{"a notice without a message", func(*rig) []commentator.Reply {
				reply := reply
				reply.Part, reply.PostedAt = commentator.PartNotice, now
				return []commentator.Reply{reply}
			}, 0, map[string]int{methodDelete: 0, methodReplies: 0}},
			{"a notice that nobody asked for yet", func(*rig) []commentator.Reply {
				reply := reply
				reply.Part, reply.Attempt = commentator.PartNotice, 0
				return []commentator.Reply{reply}
			}, 0, map[string]int{methodDelete: 0, methodReplies: 0}},
		}
		for _, tt := range tests {
			r := newRig()
			replies := tt.replies(r)
			for _, reply := range replies {
				r.posts.put(reply)
			}
			r.retract(t, time.Minute)
			if n := len(r.slack.there()); n != tt.left || len(r.posts.gone) != len(replies) {
				t.Errorf("%s: %d messages left, noted %v", tt.name, n, r.posts.gone)
			}
			for method, want := range tt.calls {
				if n := r.slack.made(method); n != want {
					t.Errorf("%s: %d calls of %s, want %d", tt.name, n, method, want)
				}
			}
		}
	})
}

// A Slack that fails, is busy or asks to wait holds a retraction up and no other.
func TestRetractionsGoOnAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, n int) answer {
			switch {
			case method != methodDelete:
			case n == 1:
				return answer{status: 500}
			case n == 2:
				return answer{body: `{"ok":false,"error":"internal_error"}`}
			case n == 3:
				return answer{status: 429, after: "20"}
			case n == 4:
				return answer{dropped: true}
			}
			return answer{}
		}
		for id := range int64(3) {
			ts := r.slack.posted(mark{job.StoreID, id + 1, 0})
			r.posts.put(commentator.Reply{JobID: id + 1, Channel: message.Channel, ThreadTS: message.Thread(), ReplyTS: ts, PostedAt: time.Now(), RetractAt: time.Now()})
		}
		r.retract(t, 10*time.Minute)
		if n := len(r.slack.there()); n != 0 || len(r.posts.gone) != 3 {
			t.Errorf("%d messages left, %d noted", n, len(r.posts.gone))
		}
		if n := r.slack.made(methodDelete); n > 8 {
			t.Errorf("%d deletions for 3 messages and 4 failures", n)
		}
	})
}

// A reply that Slack refuses to delete, in a channel that the app was removed from, does not keep
// later ones waiting, and is asked for seldom.
func TestAStuckRetractionHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		refusals := 0
		r.slack.answer = func(method string, _ int) answer {
			if method == methodDelete && len(r.posts.gone) == 0 {
				refusals++
				return answer{body: `{"ok":false,"error":"channel_not_found"}`}
			}
			return answer{}
		}
		retractor := NewRetractor(RetractorConfig{API: r.api, Retractions: r.posts, StoreID: job.StoreID})
		pass := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			retractor.Run(ctx)
		}
		put := func(id int64) {
			ts := r.slack.posted(mark{job.StoreID, id, 0})
			r.posts.put(commentator.Reply{JobID: id, Channel: message.Channel, ThreadTS: message.Thread(), ReplyTS: ts, PostedAt: time.Now(), RetractAt: time.Now()})
		}
		put(1)
		pass(12 * time.Hour)
		if refusals < 5 || refusals > 16 {
			t.Errorf("%d refusals in twelve hours", refusals)
		}
		stuck := refusals
		r.slack.answer = func(method string, _ int) answer { return answer{} }
		put(2)
		pass(10 * time.Second)
		if !r.posts.gone[replyPart{job: 2}] || r.posts.gone[replyPart{job: 1}] || stuck == 0 {
			t.Errorf("gone after ten seconds: %v", r.posts.gone)
		}
		pass(4 * time.Hour)
		if !r.posts.gone[replyPart{job: 1}] {
			t.Error("the one that was refused is not tried again")
		}
	})
}
