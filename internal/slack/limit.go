package slack

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
)

// maxPause is the longest wait that Slack may ask for and a job sits out where it is. A longer
// one ends its attempt, so that the worker is free for other channels meanwhile.
const maxPause = time.Minute

// limits are Slack's own, https://docs.slack.dev/apis/web-api/rate-limits: a message a second and
// channel, and for the methods of tier 3 more than 50 calls a minute. They are kept for each
// channel; what a whole workspace may do, Slack says by 429.
var limits = map[string]struct {
	every time.Duration
	burst int
}{
	methodPost:    {time.Second, 1},
	methodReplies: {1200 * time.Millisecond, 10},
	methodDelete:  {1200 * time.Millisecond, 10},
	methodReact:   {1200 * time.Millisecond, 10},
}

type gateKey struct{ method, channel string }

// gate lets the calls of one method for one channel through.
type gate struct {
	method  string
	limiter *rate.Limiter

	mu    sync.Mutex
	until time.Time // nobody passes before
}

func (a *API) gate(method, channel string) *gate {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := gateKey{method, channel}
	g := a.gates[key]
	if g == nil {
		l := limits[method]
		g = &gate{method: method, limiter: rate.NewLimiter(rate.Every(l.every), l.burst)}
		a.gates[key] = g
	}
	return g
}

// wait returns when a call may be made.
func (g *gate) wait(ctx context.Context) error {
	for passed := false; ; {
		switch left := g.left(); {
		case left > maxPause:
			return &commentator.Error{
				Code: CodeRateLimited, Later: true, After: left,
				Message: fmt.Sprintf("Slack asks to call %s later, in %s", g.method, left.Round(time.Second)),
			}
		case left > 0:
			if err := pause.For(ctx, left); err != nil {
				return err
			}
			passed = false // those who waited go one after the other
		case passed:
			return nil
		default:
			if err := g.limiter.Wait(ctx); err != nil {
				return err
			}
			passed = true // unless a pause began meanwhile
		}
	}
}

func (g *gate) left() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.until)
}

// pause keeps everybody from passing for a time.
func (g *gate) pause(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := time.Now().Add(d); until.After(g.until) {
		g.until = until
	}
}
