package reconcile

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/wire"
)

const (
	chunk    = 50 // jobs that are held in memory at a time
	pollFrom = 500 * time.Millisecond
	pollTo   = 5 * time.Second
)

// Comparison compares the jobs of a database with what MLflow holds, once and again.
type Comparison struct {
	Records Records
	Server  *Server
	// Experiment is the name of the one that jobs which name none go to; "": it is not compared.
	Experiment string
	// Fallback is the name of the Collector's own experiment, to which such jobs go when Experiment
	// is "". Only the mark of retention is looked for in it.
	Fallback string
	// Settle is how long MLflow may take to hold what workers have sent to the Collector, Wait
	// how long it may take for a repair. Default 0.
	Settle, Wait time.Duration
	// Now is time.Now, and Sleep waits for a while or the end of the context.
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
	// Seen, if set, is shown each job's run that MLflow holds.
	Seen func(Run)

	found   map[int64]finding // by job
	retired map[string]time.Time
}

// finding is what was found of one job.
type finding struct {
	kind     kind
	report   Report // with kind compared
	lastSent time.Time
	setAside int
}

// kind is how a job is dealt with.
type kind int

const (
	compared   kind = iota
	open            // it has not ended
	off             // nothing of it is recorded
	retired         // it may have been removed on purpose
	waiting         // some of it waits for the Collector
	ofOriginal      // it was open when this database was copied
)

// Result is what a comparison comes to.
type Result struct {
	Report
	Open     int `json:"open"`      // jobs that have not ended
	Off      int `json:"off"`       // jobs of which nothing was to be recorded
	Retired  int `json:"retired"`   // jobs before the mark of retention
	Copied   int `json:"copied"`    // jobs that were open when this database was copied
	SetAside int `json:"set_aside"` // messages that the Collector refused for good
	// Waiting are the jobs of which messages wait in the outbox.
	Waiting []int64 `json:"waiting"`
}

// Whole reports whether MLflow holds every job that it is to hold, once and as it was recorded.
// What a person deleted counts if it is to be there.
func (r Result) Whole(withDeleted bool) bool {
	return len(r.Lost)+len(r.Doubled)+len(r.Wrong)+len(r.Elsewhere)+len(r.Waiting) == 0 && (!withDeleted || len(r.Deleted) == 0)
}

// Since compares the jobs that are open, or ended at a time or after it. Those whose telemetry
// is still on its way are looked at again, for Settle at most.
func (c *Comparison) Since(ctx context.Context, since time.Time) (Result, error) {
	c.found = map[int64]finding{}
	if err := c.pass(ctx, c.Records.Jobs(ctx, since)); err != nil {
		return Result{}, err
	}
	err := c.settle(ctx, c.Now().Add(c.Settle), func(_ int64, f finding) bool {
		return f.kind == waiting || f.kind == compared && !whole(f.report) && c.Now().Sub(f.lastSent) < c.Settle
	})
	return c.result(), err
}

// settle compares those jobs again that satisfy a condition, until none does or it is late. In
// between it leaves MLflow alone for twice as long as it asked it: the Collector wants to write.
func (c *Comparison) settle(ctx context.Context, until time.Time, unsettled func(int64, finding) bool) error {
	for pause := pollFrom; ; {
		var ids []int64
		for id, f := range c.found {
			if unsettled(id, f) {
				ids = append(ids, id)
			}
		}
		left := until.Sub(c.Now())
		if len(ids) == 0 || left <= 0 {
			return nil
		}
		if err := c.Sleep(ctx, min(pause, left)); err != nil {
			return err
		}
		began := c.Now()
		slices.Sort(ids)
		if err := c.again(ctx, ids, !began.Before(until)); err != nil {
			return err
		}
		pause = max(min(2*pause, pollTo), 2*c.Now().Sub(began))
	}
}

// again compares jobs once more; unless it is for the last time, only those that have arrived.
func (c *Comparison) again(ctx context.Context, ids []int64, last bool) error {
	if err := c.Server.Refresh(ctx); err != nil {
		return err
	}
	for some := range slices.Chunk(ids, chunk) {
		var jobs []Job
		for j, err := range c.Records.These(ctx, some) {
			if err != nil {
				return err
			}
			jobs = append(jobs, j)
		}
		arrived, err := c.Server.arrived(ctx, jobs)
		if err != nil {
			return err
		}
		err = c.pass(ctx, func(yield func(Job, error) bool) {
			for _, j := range jobs {
				if (last || arrived[j.ID]) && !yield(j, nil) {
					return
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pass compares jobs, and notes what was found in the place of what was found before.
func (c *Comparison) pass(ctx context.Context, jobs iter.Seq2[Job, error]) error {
	var err error
	if c.retired, err = c.Server.Retention(); err != nil {
		return err
	}
	var batch []Job
	for j, err := range jobs {
		if err != nil {
			return err
		}
		f := finding{kind: c.kind(j), lastSent: j.LastSent, setAside: j.SetAside}
		c.found[j.ID] = f
		if f.kind != compared {
			continue
		}
		if batch = append(batch, j); len(batch) == chunk {
			if err := c.judge(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return c.judge(ctx, batch)
}

func (c *Comparison) kind(j Job) kind {
	own := cmp.Or(c.Experiment, c.Fallback)
	mark, exists := c.retired[cmp.Or(j.Experiment(), own)]
	if !exists { // as when the settings follow a new name, and the mark with the experiment
		mark = c.retired[own]
	}
	switch {
	case !j.Final():
		return open
	case j.Recorded() && !j.Started.IsZero() && j.Started.Before(mark):
		return retired
	case j.Copied:
		return ofOriginal
	case j.Waiting > 0:
		return waiting
	case !j.Recorded():
		return off
	}
	return compared
}

// judge compares jobs one by one, so that each has a report of its own.
func (c *Comparison) judge(ctx context.Context, jobs []Job) error {
	if len(jobs) == 0 {
		return nil
	}
	held, err := c.Server.State(ctx, jobs)
	if err != nil {
		return err
	}
	for _, r := range held.Runs {
		if c.Seen != nil && !r.Deleted && r.Tags[tagParentRun] == "" {
			c.Seen(r)
		}
	}
	for _, j := range jobs {
		f := c.found[j.ID]
		one := func(yield func(Job, error) bool) { yield(j, nil) }
		if f.report, err = Judge(one, held.of(j), Terms{Experiment: c.Experiment}); err != nil {
			return err
		}
		for _, list := range [][]Finding{f.report.Lost, f.report.Doubled, f.report.Wrong} {
			for i := range list {
				list[i].Job = j.ID // what belongs to nothing that was recorded has the job's key
			}
		}
		c.found[j.ID] = f
	}
	return nil
}

// of is what is held under the keys of a job.
func (s State) of(j Job) State {
	return State{
		Runs:   slices.DeleteFunc(slices.Clone(s.Runs), func(r Run) bool { return !j.owns(r) }),
		Traces: slices.DeleteFunc(slices.Clone(s.Traces), func(t Trace) bool { return t.ID != "tr-"+j.TraceID }),
	}
}

func (c *Comparison) result() Result {
	r := Result{Waiting: []int64{}}
	for _, list := range []*[]Finding{&r.Lost, &r.Doubled, &r.Wrong, &r.Deleted, &r.Renamed, &r.Elsewhere, &r.Unrecorded} {
		*list = []Finding{} // a list in JSON, not null
	}
	for _, id := range slices.Sorted(maps.Keys(c.found)) {
		f := c.found[id]
		r.SetAside += f.setAside
		switch f.kind {
		case open:
			r.Open++
		case off:
			r.Off++
		case retired:
			r.Retired++
		case ofOriginal:
			r.Copied++
		case waiting:
			r.Waiting = append(r.Waiting, id)
		case compared:
			r.Add(f.report)
		}
	}
	return r
}

// whole reports whether neither waiting nor a repair would mend anything.
func whole(r Report) bool { return len(r.Lost)+len(r.Doubled)+len(r.Wrong) == 0 }

// owns reports whether a run has a key of the job.
func (j Job) owns(r Run) bool {
	trace, _, _ := strings.Cut(r.Tags[wire.TagKey], "-")
	return trace == j.TraceID
}
