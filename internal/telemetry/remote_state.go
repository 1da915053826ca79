package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"regexp"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/redact"
)

// RemoteState says whether a source of sampling strategies answers, as a process that asks it again
// and again saw it last.
type RemoteState struct {
	Endpoint string    `json:"endpoint"`          // without secrets
	Since    time.Time `json:"since"`             // when Problem began, or when Says was answered first
	Problem  string    `json:"problem,omitempty"` // why no strategy comes; empty: one does
	Says     string    `json:"says,omitempty"`    // the last strategy in words; empty: there was none
	Revision string    `json:"revision,omitempty"`
}

const (
	// tellAgain is how long a problem that comes and goes is not told again: a source of which every
	// second answer is wrong would fill the log.
	tellAgain = time.Minute
	// maxTold bounds the problems that are remembered. Whoever answers chooses their texts.
	maxTold = 16
	// noteRemoteWait is how long the next question waits for a database that is locked.
	noteRemoteWait = time.Second
)

// strategyNews tells the log, and the job database, of outages of a source of strategies: that one
// begins, that its reason is another one, and that it is over.
type strategyNews struct {
	redactor *redact.Redactor
	log      *slog.Logger
	now      func() time.Time
	note     func(context.Context, RemoteState) error // may be nil

	mu    sync.Mutex
	state RemoteState          // as it was told
	owed  bool                 // state is not noted yet
	began time.Time            // of the outage; zero: there is none
	told  map[string]time.Time // when each problem was told last
}

func newStrategyNews(endpoint string, c Config) *strategyNews {
	n := &strategyNews{redactor: c.Redactor, log: c.Logger, now: c.Now, note: c.NoteRemote, told: map[string]time.Time{}}
	if n.redactor == nil {
		n.redactor = redact.New(nil)
	}
	n.state.Endpoint = redact.New(nil).Text(endpoint)
	return n
}

// heard is told of each answer: a strategy, or why there is none.
func (n *strategyNews) heard(ctx context.Context, s strategy, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.missed(err)
	} else {
		n.answered(s)
	}
	n.keep(ctx)
}

func (n *strategyNews) missed(err error) {
	now := n.now()
	if n.began.IsZero() {
		n.began = now
	}
	problem := fitToSay(n.redactor, err.Error())
	key := problemKey(problem)
	at, known := n.told[key]
	switch {
	case known && (n.state.Problem != "" && !at.Before(n.began) || now.Sub(at) < tellAgain):
		return
	case !known && len(n.told) >= maxTold:
		n.forget(now)
		if len(n.told) >= maxTold {
			return
		}
	}
	n.told[key] = now
	n.change(RemoteState{Since: n.began, Problem: problem, Says: n.state.Says, Revision: n.state.Revision})
	holds := "the last strategy: " + n.state.Says
	if n.state.Says == "" {
		holds = "initialSamplingRate, since there was none yet"
	}
	n.log.Warn("no sampling strategy comes", "endpoint", n.state.Endpoint, "error", problem, "holds", holds)
}

func (n *strategyNews) answered(s strategy) {
	now, told := n.now(), n.state.Problem != ""
	n.began = time.Time{}
	if told {
		n.log.Info("sampling strategies come again", "endpoint", n.state.Endpoint, "strategy", s.says)
	}
	if told || s.revision != n.state.Revision {
		n.change(RemoteState{Since: now, Says: s.says, Revision: s.revision})
	}
	n.forget(now)
}

// forget drops problems that may be told again anyway: not those of the outage that lasts.
func (n *strategyNews) forget(now time.Time) {
	maps.DeleteFunc(n.told, func(_ string, at time.Time) bool {
		return now.Sub(at) >= tellAgain && (n.began.IsZero() || at.Before(n.began))
	})
}

func (n *strategyNews) change(s RemoteState) {
	s.Endpoint, s.Since = n.state.Endpoint, s.Since.UTC().Truncate(time.Second)
	n.state, n.owed = s, true
}

// keep notes the state for people who ask another process. What could not be noted is tried with the
// next answer.
func (n *strategyNews) keep(ctx context.Context) {
	if !n.owed || n.note == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noteRemoteWait)
	defer cancel()
	if err := n.note(ctx, n.state); err != nil {
		n.log.Debug("state of the sampling strategies is not noted", "error", err)
		return
	}
	n.owed = false
}

// ownPort is the port of this side, which is another one with each connection.
var ownPort = regexp.MustCompile(`:\d+->`)

// problemKey is the same for problems that are.
func problemKey(problem string) string { return ownPort.ReplaceAllString(problem, "->") }
