package slack

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// Slack's 429 pauses the one method and channel that it was said of, for as long as it says, and
// costs the job nothing else.
func TestRetryAfterPausesOneMethodOfOneChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(method string, n int) answer {
			if method == methodPost && n == 1 {
				return answer{status: 429, after: "30"}
			}
			return answer{}
		}
		r.slack.slow = 500 * time.Millisecond // others wait for their turn when the answer comes
		start := time.Now()
		took := map[string]time.Duration{}
		var mu sync.Mutex
		var all sync.WaitGroup
		post := func(name string, id int64, channel string, wait time.Duration) {
			all.Go(func() {
				time.Sleep(wait)
				m := message
				m.Channel = channel
				if _, err := r.Post(t.Context(), commentator.Job{ID: id}, m, rendered("text")); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				took[name] = time.Since(start)
			})
		}
		post("limited", 1, "C0000000001", 0)
		post("queued", 4, "C0000000001", time.Millisecond)
		post("queued too", 5, "C0000000001", time.Millisecond)
		post("same channel", 2, "C0000000001", 10*time.Second)
		post("other channel", 3, "C0000000002", 10*time.Second)
		all.Go(func() { // another method of the channel
			time.Sleep(10 * time.Second)
			_ = r.api.delete(t.Context(), "C0000000001", "1.0")
			mu.Lock()
			defer mu.Unlock()
			took["other method"] = time.Since(start)
		})
		all.Wait()
		for name, want := range map[string][2]time.Duration{
			"limited": {30 * time.Second, 36 * time.Second}, "same channel": {30 * time.Second, 36 * time.Second},
			"queued": {30 * time.Second, 36 * time.Second}, "queued too": {30 * time.Second, 36 * time.Second},
			"other channel": {10 * time.Second, 12 * time.Second}, "other method": {10 * time.Second, 12 * time.Second},
		} {
			if took[name] < want[0] || took[name] > want[1] {
				t.Errorf("%s took %s, want %v", name, took[name], want)
			}
		}
		least := 30*time.Second + r.slack.slow
		for _, c := range r.slack.calls[1:] {
			if c.method != methodPost || c.channel != "C0000000001" {
				continue
			}
			at := c.at.Sub(start)
			if at < least {
				t.Errorf("asked to post after %s, want %s", at, least)
			}
			least = at + time.Second // also those who waited come one after the other
		}
	})
}

// A long wait ends the attempt at once, also of the jobs that come while it lasts.
func TestALongRetryAfterKeepsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(string, int) answer { return answer{status: 429, after: "600"} }
		start := time.Now()
		for id := range int64(3) {
			_, err := r.Post(t.Context(), commentator.Job{ID: id + 1}, message, rendered("text"))
			if commentator.ErrorCode(err) != CodeRateLimited || commentator.IsFinal(err) || !commentator.IsLater(err) {
				t.Errorf("Post() = %v", err)
			}
		}
		if n, took := r.slack.made(methodPost), time.Since(start); n != 1 || took > time.Second {
			t.Errorf("%d posts, %s", n, took)
		}
	})
}

// A Slack that never stops saying 429 ends the attempt after some time.
func TestEndlessRateLimitsEndTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.slack.answer = func(string, int) answer { return answer{status: 429} } // and does not say for how long
		_, err := r.Post(t.Context(), job, message, rendered("text"))
		if n := r.slack.made(methodPost); commentator.ErrorCode(err) != CodeRateLimited || !commentator.IsLater(err) || n != maxLimited {
			t.Errorf("Post() = %v after %d posts", err, n)
		}
	})
}

// Slack takes a message a second and channel.
func TestAChannelGetsAMessageASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		var all sync.WaitGroup
		for id := range int64(6) {
			for _, channel := range []string{"C0000000001", "C0000000002"} {
				all.Go(func() {
					m := message
					m.Channel = channel
					if _, err := r.Post(t.Context(), commentator.Job{ID: 10*id + int64(channel[10])}, m, rendered(fmt.Sprint(id))); err != nil {
						t.Error(err)
					}
				})
			}
		}
		start := time.Now()
		all.Wait()
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("the channels wait for each other: %s", took)
		}
		last := map[string]time.Time{}
		for _, c := range r.slack.calls {
			if before, ok := last[c.channel]; ok && c.at.Sub(before) < time.Second {
				t.Errorf("two posts to %s within %s", c.channel, c.at.Sub(before))
			}
			last[c.channel] = c.at
		}
	})
}

func TestWhatSlackHasSurelyNotTaken(t *testing.T) {
	for code, want := range map[string]bool{
		"slack_not_in_channel": true, CodeUnreachable: true, CodeRateLimited: true, "slack_http_403": true,
		CodeAnswerLost: false, "slack_internal_error": false, codeNotTakenBack: false, "attempt_timeout": false, "panic": false, "": false,
	} {
		if got := NotTaken(code); got != want {
			t.Errorf("NotTaken(%q) = %v", code, got)
		}
	}
}
