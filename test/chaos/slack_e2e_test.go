//go:build linux && e2e

package main

import (
	"context"
	"path/filepath"
	"testing"
)

// TestSlackSoak lets people write sixty messages into a Slack that fails, kills the worker four
// times, twice of them between a post and its record, and looks at every thread.
func TestSlackSoak(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	o := slackOptions{options: options{seed: 5, top: top, bin: builtPrograms(t, top), patience: slackPatience}, messages: 60, kills: 4, channels: 4}
	r, err := slackSiegeOf(context.Background(), o, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if !r.passed() {
		t.Errorf("%+v", r.Log)
	}
	if r.Kills != 4 || r.Between < 2 || r.Links < 40 || r.Posts < r.Links || r.Deliveries.Retries == 0 || r.Deliveries.Again == 0 || r.AckP50 <= 0 {
		t.Errorf("%d kills, %d between post and record, %d links, %d posts, deliveries %+v", r.Kills, r.Between, r.Links, r.Posts, r.Deliveries)
	}
}
