package apply

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	// listTimeout bounds the requests that list one prompt. Once they take longer none is listed for
	// lookAgain, so that jobs do not wait as long for each of theirs.
	listTimeout = 10 * time.Second
	// listAgain is when a prompt that is listed is looked at again: it may have been made anew, and another
	// writer may have removed what was added.
	listAgain = 24 * time.Hour
)

var errListingPaused = errors.New("another prompt took too long to be listed")

// listings remembers which prompts the pages of which experiments list: each is seen to once a day, so that
// other jobs make no request.
type listings struct {
	// writing is held from the reading of a prompt's experiments to the writing: of two at once the
	// second one would remove what the first one added.
	writing sync.Mutex

	mu    sync.Mutex
	again map[string]map[string]time.Time // by prompt and experiment's id, when to look again
	pause time.Time                       // until then none is listed
	said  bool                            // that it fails
}

// listUsed makes the pages of the experiments list the prompts that jobs were linked to. MLflow's client does so
// when it loads one; without it the link from a prompt to its traces is nowhere in the UI. It comes last
// and nothing depends on it.
func (a *Applier) listUsed(ctx context.Context, jobs []*job) {
	if a.isBefore(3, 7) {
		return // there no page asks
	}
	for _, j := range jobs {
		for _, r := range j.runs {
			if id, _, _ := strings.Cut(r.rec.Experiment, "@"); r.rec.ID != "" {
				a.listIn(ctx, id, r.used)
			}
		}
		for _, t := range j.traces {
			a.listIn(ctx, t.exp.id, t.used)
		}
	}
}

func (a *Applier) listIn(ctx context.Context, experimentID string, used []mlflow.PromptVersion) {
	for _, v := range used {
		now := a.cfg.Now()
		if a.State().Away != "" || ctx.Err() != nil || !a.listings.due(v.Name, experimentID, now) {
			continue
		}
		err := a.listPrompt(ctx, v.Name, experimentID)
		if ctx.Err() != nil { // which says nothing of the registry
			a.listings.failed(v.Name, experimentID, now)
			return
		}
		if err != nil {
			a.listings.failed(v.Name, experimentID, now.Add(lookAgain))
		}
		if a.listings.news(err) {
			a.log.Warn("A prompt cannot be put on the page of its experiment in MLflow, which is tried again: runs and traces are linked to it all the same",
				zap.String("prompt", v.Name), zap.String("experiment_id", experimentID), zap.Error(err))
		}
	}
}

// listPrompt writes what lists a prompt. It goes past the breaker: that the registry refuses says nothing of the
// rest of MLflow, which jobs need.
func (a *Applier) listPrompt(ctx context.Context, name, experimentID string) error {
	a.listings.writing.Lock()
	defer a.listings.writing.Unlock()
	if a.listings.paused(a.cfg.Now()) {
		return errListingPaused
	}
	if err := a.slots.take(ctx, false); err != nil { // takes long when there is much to do, whatever the registry
		return err
	}
	defer a.slots.giveBack()
	limited, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	err := a.client.ListPrompt(limited, name, experimentID)
	if timedOut(err) && ctx.Err() == nil {
		a.listings.pauseUntil(a.cfg.Now().Add(lookAgain))
	}
	return err
}

// due reports whether a prompt is to be listed now, and takes it that it will be. When there are too many,
// all are seen to again.
func (l *listings) due(name, experimentID string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.again[name]
	if now.Before(l.pause) || now.Before(in[experimentID]) {
		return false
	}
	if l.again == nil || (in == nil && len(l.again) >= maxPrompts) {
		l.again = map[string]map[string]time.Time{}
	}
	if in == nil || len(in) >= maxPrompts {
		in = map[string]time.Time{}
		l.again[name] = in
	}
	in[experimentID] = now.Add(listAgain)
	return true
}

// failed says when a prompt that could not be listed is due again.
func (l *listings) failed(name, experimentID string, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in := l.again[name]; in != nil { // else it was forgotten meanwhile
		in[experimentID] = again
	}
}

func (l *listings) paused(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.pause)
}

func (l *listings) pauseUntil(end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause = end
}

// news reports whether an error is worth a line: the first one since it last worked.
func (l *listings) news(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := l.said
	l.said = err != nil
	return l.said && !said
}

// forget makes a prompt due again.
func (l *listings) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.again, name)
}

func (l *listings) forgetAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again, l.pause = nil, time.Time{}
}
