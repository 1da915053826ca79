//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// input is a Slack event that is put in. Each link is a job; without one there is a job too.
type input struct {
	EventID string
	TS      string
	Links   []string
}

func (in input) jobs() int { return max(1, len(in.Links)) }

// inputsOf makes events with so many jobs together.
func inputsOf(random *rand.Rand, jobs int, link func(kind string, n int) string) []input {
	var all []input
	for made := 0; made < jobs; {
		n := len(all)
		in := input{EventID: fmt.Sprintf("EvCHAOS%d", n), TS: fmt.Sprintf("1795000000.%06d", n)}
		for range min(random.IntN(4), jobs-made) { // none to three
			in.Links = append(in.Links, link(kindOf(random.IntN(100)), made+len(in.Links)))
		}
		if len(in.Links) == 0 && random.IntN(4) > 0 {
			continue // few messages are without a link
		}
		made += in.jobs()
		all = append(all, in)
	}
	return all
}

func kindOf(share int) string {
	for _, k := range kinds {
		if share -= k.share; share < 0 {
			return k.name
		}
	}
	return kinds[0].name
}

// envelope is the event as Slack would post it.
func (in input) envelope() ([]byte, error) {
	text := "Nothing to read today"
	if len(in.Links) > 0 {
		text = "Look: <" + strings.Join(in.Links, "> <") + ">"
	}
	return json.Marshal(map[string]any{
		"type": "event_callback", "event_id": in.EventID, "event_time": 1795000000,
		"event": map[string]any{"type": "message", "channel": "C0TECHSHARE", "user": "U0123456789", "ts": in.TS, "text": text},
	})
}

// enqueue gives an event to the worker's queue. One that is known already is not put in
// twice, so it can be tried again.
func enqueue(ctx context.Context, p *program, in input) error {
	body, err := in.envelope()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		cmd := exec.CommandContext(ctx, p.command[0], "replay", "--enqueue", "--event", "-")
		cmd.Dir, cmd.Env, cmd.Stdin = p.dir, append(sandbox.Environ(), p.env...), bytes.NewReader(body)
		out, err := cmd.CombinedOutput()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("enqueue event %s: %w\n%s", in.EventID, err, out)
		}
		time.Sleep(time.Second)
	}
}
