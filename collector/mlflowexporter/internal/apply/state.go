package apply

import (
	"context"
	"time"
)

// State is what is known of the server.
type State struct {
	// Known is false until the server has answered or counts as away.
	Known bool
	// Away is why it counts as away: it does not answer, or credentials or configuration
	// stand in the way of every request. Empty: it is there.
	Away string
	// Refuses is set when it answers, but refuses every request until a person changes
	// something.
	Refuses bool
	// Files says, while the server is there, since when no artifact could be written, and why the last one
	// was not, once that lasts for minutes. Empty: artifacts are written, or none waits.
	Files string
}

// State says whether the server is there, as the requests so far have shown.
func (a *Applier) State() State {
	files := a.waiting.told(a.cfg.Now())
	b := &a.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	s := State{Known: !b.heard.IsZero(), Files: files}
	if !b.until.IsZero() {
		s.Away, s.Refuses, s.Files = b.cause, b.refuses, ""
	}
	return s
}

// Ping finds out whether the server is there unless a request within a given time has
// shown it. It asks what every job asks for: GET /version is answered, too, when the host
// check refuses everything else.
func (a *Applier) Ping(ctx context.Context, within time.Duration) {
	a.tellWaiting()
	if a.breaker.heardWithin(within) {
		return
	}
	for range awayAfter { // so many must fail
		err := a.guard(ctx, func() error {
			_, err := a.client.GetExperimentByName(ctx, a.cfg.DefaultExperiment)
			return err
		})
		if _, gone := away(err); !gone || a.State().Away != "" {
			return
		}
	}
}

func (b *breaker) heardWithin(d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.heard.IsZero() && b.now().Sub(b.heard) < d
}
