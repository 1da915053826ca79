//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/technoshare/commentator/test/slackfake"
)

// Metadata of a comment, as the worker attaches it to what it posts.
const commentEvent = "technoshare_comment"

// reply is a message of the worker that Slack accepted, seen by anybody or not.
type reply struct {
	TS       string
	StoreID  string
	JobID    int64
	Part     int
	Marked   bool // its metadata says whose it is
	Editions []int
	Deleted  bool
}

type threadKey struct{ channel, ts string }

// record is what is known of the worker's messages, so that each text is read once.
type record struct {
	mu      sync.Mutex
	replies map[threadKey]reply // by channel and their own timestamp
}

// held are the worker's messages in Slack's own record by thread; those in no thread have an
// empty ts.
func (r *record) held(fake *slackfake.Workspace, channels []string) map[threadKey][]reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.replies == nil {
		r.replies = map[threadKey]reply{}
	}
	all := map[threadKey][]reply{}
	for _, c := range channels {
		for _, m := range fake.Messages(c) {
			if m.BotID != slackfake.BotID {
				continue
			}
			own := threadKey{c, m.TS}
			known, ok := r.replies[own]
			if !ok {
				known = replyOf(m)
				r.replies[own] = known
			}
			known.Deleted = m.Deleted
			key := threadKey{c, m.ThreadTS}
			all[key] = append(all[key], known)
		}
	}
	return all
}

func replyOf(m slackfake.Message) reply {
	r := reply{TS: m.TS, Deleted: m.Deleted, Editions: editionsIn(m.Text + "\n" + string(m.Blocks))}
	if m.Metadata == nil || m.Metadata.EventType != commentEvent {
		return r
	}
	var payload struct {
		StoreID string      `json:"store_id"`
		JobID   json.Number `json:"job_id"`
		Part    int         `json:"part"`
	}
	if json.Unmarshal(m.Metadata.EventPayload, &payload) != nil {
		return r
	}
	id, err := payload.JobID.Int64()
	r.StoreID, r.JobID, r.Part, r.Marked = payload.StoreID, id, payload.Part, err == nil && payload.StoreID != ""
	return r
}

// slackFindings are what is wrong with the threads.
type slackFindings struct {
	Lost    []string `json:"lost,omitempty"`    // links without an answer
	Doubled []string `json:"doubled,omitempty"` // answers too many
	Wrong   []string `json:"wrong,omitempty"`   // messages that nobody asked for, or that are not as they should be
}

// missing are the editions that a message has no answer to.
func missing(m said, replies []reply) []int {
	var list []int
	for _, n := range m.answered() {
		if !slices.ContainsFunc(replies, func(r reply) bool { return !r.Deleted && slices.Contains(r.Editions, n) }) {
			list = append(list, n)
		}
	}
	return list
}

// judgeThreads compares the messages that were written with the worker's messages, by the text
// of these and by the job that their metadata names. The threads of untold are not looked at.
func judgeThreads(messages []said, held map[threadKey][]reply, untold map[threadKey]bool) (f slackFindings) {
	type part struct {
		store string
		job   int64
		part  int
	}
	seen := map[part]bool{}
	left := map[threadKey][]reply{}
	for key, replies := range held {
		left[key] = replies
		for _, r := range replies {
			if !r.Marked {
				f.Wrong = append(f.Wrong, fmt.Sprintf("message %s in thread %s/%s names no job", r.TS, key.channel, key.ts))
				continue
			}
			if p := (part{r.StoreID, r.JobID, r.Part}); seen[p] {
				f.Doubled = append(f.Doubled, fmt.Sprintf("part %d of job %d is posted again as %s in thread %s/%s", r.Part, r.JobID, r.TS, key.channel, key.ts))
			} else {
				seen[p] = true
			}
		}
	}
	gone := map[int]bool{} // editions of deleted messages
	for _, m := range messages {
		key := threadKey{m.Channel, m.TS}
		if m.Kind != deleted || !untold[key] {
			f.judge(m, left[key])
		}
		delete(left, key)
		for _, n := range m.Links {
			gone[n] = m.Kind == deleted
		}
	}
	for key, replies := range left {
		for _, r := range replies {
			// Slack posts a reply to a message that is gone into the channel, and the worker deletes it.
			if key.ts == "" && r.Deleted && slices.ContainsFunc(r.Editions, func(n int) bool { return gone[n] }) {
				continue
			}
			f.Wrong = append(f.Wrong, fmt.Sprintf("message %s of the worker stands in thread %q of channel %s, which is of no message", r.TS, key.ts, key.channel))
		}
	}
	for _, list := range [][]string{f.Lost, f.Doubled, f.Wrong} {
		slices.Sort(list)
	}
	return f
}

// judge looks at one thread.
func (f *slackFindings) judge(m said, replies []reply) {
	about := map[int]map[int64]bool{} // jobs by edition
	for _, r := range replies {
		if m.Kind == deleted && !r.Deleted {
			f.Wrong = append(f.Wrong, fmt.Sprintf("message %d (%s) is deleted, its reply %s is not", m.N, m.Kind, r.TS))
		}
		if m.Kind != deleted && r.Deleted {
			f.Wrong = append(f.Wrong, fmt.Sprintf("reply %s to message %d (%s) was deleted", r.TS, m.N, m.Kind))
		}
		if r.Part < 0 {
			f.Wrong = append(f.Wrong, fmt.Sprintf("reply %s to message %d tells of a failure", r.TS, m.N))
		}
		if len(r.Editions) != 1 && r.Part == 0 {
			f.Wrong = append(f.Wrong, fmt.Sprintf("reply %s to message %d is about editions %v", r.TS, m.N, r.Editions))
		}
		for _, n := range r.Editions {
			if about[n] == nil {
				about[n] = map[int64]bool{}
			}
			about[n][r.JobID] = true
		}
	}
	for _, n := range missing(m, replies) {
		f.Lost = append(f.Lost, fmt.Sprintf("link %d of message %d (%s, %s/%s) has no answer", n, m.N, m.Kind, m.Channel, m.TS))
	}
	allowed := m.answered()
	if m.Kind == deleted {
		allowed = m.Links // an answer that was there and is gone
	}
	for n, jobs := range about {
		if len(jobs) > 1 {
			f.Doubled = append(f.Doubled, fmt.Sprintf("link %d of message %d (%s) is answered by %d jobs", n, m.N, m.Kind, len(jobs)))
		}
		if !slices.Contains(allowed, n) {
			f.Wrong = append(f.Wrong, fmt.Sprintf("message %d (%s) has an answer to edition %d", m.N, m.Kind, n))
		}
	}
}
