package main

import (
	"strings"
	"testing"
	"time"
)

// What the Collector answered last is said so that it fits what is kept of the messages.
func TestStatusSaysWhatTheCollectorDoes(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	since := time.Date(2026, 11, 23, 11, 0, 0, 0, time.Local)
	for _, tc := range []struct {
		since, sent *time.Time
		aside       int
		problem     string
		want        string
	}{
		{want: "c:4317, nothing was sent to it yet"},
		{aside: 1, want: "c:4317 took nothing of what was sent to it"},
		{aside: 1, sent: &since, want: "c:4317 answers, and took nothing of what was sent to it last"},
		{aside: 1, sent: &since, since: &since, want: "c:4317 takes messages since 2026-11-23 11:00:00"},
		{aside: 1, sent: &since, since: &since, problem: "connection refused", want: "c:4317 takes nothing since 2026-11-23 11:00:00: connection refused"},
	} {
		var s state
		s.Outbox.LastSent, s.Outbox.SetAside = tc.sent, tc.aside
		s.Collector.Endpoint, s.Collector.Since, s.Collector.Problem = "c:4317", tc.since, tc.problem
		var out strings.Builder
		if err := printStatus(&out, s, now); err != nil {
			t.Fatal(err)
		}
		if _, line, _ := strings.Cut(out.String(), "\ncollector"); strings.TrimSpace(line) != tc.want {
			t.Errorf("said %q, want %q", strings.TrimSpace(line), tc.want)
		}
	}
}
