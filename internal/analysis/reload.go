package analysis

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
)

// Reloading is an analyser whose prompts are read again when their files have changed. It is safe
// for concurrent use.
type Reloading struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex
	stamp   data.PromptsStamp // of the files that current was made of, or that were found broken
	current *OpenAI
}

// NewReloading returns an analyser that begins as o. Dir is DATA_DIR, which o's prompts came from
// when its files had the stamp.
func NewReloading(o *OpenAI, dir string, stamp data.PromptsStamp, log *slog.Logger) *Reloading {
	return &Reloading{dir: dir, stamp: stamp, current: o, log: log}
}

// Current returns the analyser with the prompts as the files have them now; it never changes. A
// job's attempt asks once, so that its stages belong together. Files that are broken change
// nothing, and that is said once; files that are being written are looked at again next time.
func (r *Reloading) Current() commentator.Analyser {
	r.mu.Lock()
	defer r.mu.Unlock()
	stamp := data.StampPrompts(r.dir)
	if stamp == r.stamp {
		return r.current
	}
	ctx := context.Background() // two small files
	p, err := data.LoadPrompts(ctx, r.dir)
	if errors.Is(err, data.ErrPromptsBusy) {
		return r.current
	}
	r.stamp = stamp
	if err != nil {
		r.log.ErrorContext(ctx, "prompts were changed and cannot be used; the worker goes on with those it has", "err", err)
		return r.current
	}
	old := r.current.data
	if p.StageA == old.StageA && p.StageB == old.StageB {
		return r.current
	}
	r.current = r.current.withPrompts(p)
	r.log.InfoContext(ctx, "prompts were read again", "stage_a", p.StageA.SHA256(), "stage_b", p.StageB.SHA256())
	return r.current
}

// withPrompts is the same analyser with other prompts.
func (o *OpenAI) withPrompts(p data.Prompts) *OpenAI {
	d, c := *o.data, *o
	d.StageA, d.StageB = p.StageA, p.StageB
	c.data = &d
	return &c
}
