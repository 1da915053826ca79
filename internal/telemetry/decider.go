package telemetry

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// decider takes the decision of a job that starts. A decision that was taken stays.
type decider interface {
	decide(j commentator.Job, m commentator.Message, id trace.TraceID) commentator.Decision
}

// bySettings decides as the mode and the ratio of the settings say.
type bySettings struct {
	ratio float64 // of full jobs; below 0: tracking mode, no job is full
}

func (s bySettings) decide(_ commentator.Job, _ commentator.Message, id trace.TraceID) commentator.Decision {
	d := commentator.Decision{Detail: commentator.DetailTracking, By: commentator.BySettings}
	if s.ratio < 0 {
		return d
	}
	d.Ratio = s.ratio
	if sampled(id, s.ratio) {
		d.Detail = commentator.DetailFull
	}
	return d
}

// sampled asks the stock sampler, so that every process comes to the same answer.
func sampled(id trace.TraceID, ratio float64) bool {
	r := sdktrace.TraceIDRatioBased(ratio).ShouldSample(sdktrace.SamplingParameters{TraceID: id, Name: wire.SpanJob})
	return r.Decision == sdktrace.RecordAndSample
}

// byFile decides by the rules of a sampling file, and leaves jobs that none fits to others.
// It looks at the file whenever a job starts, so that a change holds for the next job and nothing
// has to run meanwhile.
type byFile struct {
	path    string
	others  decider
	adapter func(commentator.Job) string
	decided func(rule string) (int64, error) // by earlier processes
	now     func() time.Time
	log     *slog.Logger

	mu       sync.Mutex
	seen     os.FileInfo // of the file as it was read last; nil: there was none
	current  bool        // the rules are those of the file as it was seen
	looked   bool        // at the file, at least once
	wrong    string      // with the file as it is, which was logged; empty: nothing
	revision string
	rules    []*liveRule

	last   string // where the last good content is kept
	kept   string // its revision when this process last read the file; another one is later
	unkept bool   // it was logged that it cannot be kept
}

// liveRule is a rule at work.
type liveRule struct {
	SamplingRule
	never bool         // it fits no job
	limit *minuteLimit // nil: none
	left  int64        // decisions until it ends; with Jobs only

	// counted are the latest jobs that left was lowered for. One of them that starts once more
	// was not written the first time, and does not count again.
	counted []int64
}

// maxCounted bounds liveRule.counted: more jobs than start between a failed write and the next try.
const maxCounted = 128

// count reports whether the rule has a decision left for a job, and takes it.
func (r *liveRule) count(job int64) bool {
	if r.Jobs == 0 || slices.Contains(r.counted, job) {
		return true
	}
	if r.left <= 0 {
		return false
	}
	r.left--
	if len(r.counted) == maxCounted {
		r.counted = slices.Delete(r.counted, 0, 1)
	}
	r.counted = append(r.counted, job)
	return true
}

// minuteLimit lets most events through in any 60 seconds. A bucket that is filled again
// meanwhile would let twice as many through.
type minuteLimit struct {
	most   int
	times  []time.Time // of the latest that were let through, at most so many
	oldest int         // index in times once they are that many
}

func (l *minuteLimit) allow(now time.Time) bool {
	if len(l.times) < l.most {
		l.times = append(l.times, now)
		return true
	}
	if now.Sub(l.times[l.oldest]) < time.Minute {
		return false
	}
	l.times[l.oldest] = now
	l.oldest = (l.oldest + 1) % l.most
	return true
}

func (f *byFile) decide(j commentator.Job, m commentator.Message, id trace.TraceID) commentator.Decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	now := f.now()
	host := ""
	if len(f.rules) > 0 {
		host, _ = RuleHost(j.Domain)
	}
	for _, r := range f.rules {
		if r.never || r.Over(now, 0) || !r.fits(host, m, f.adapter(j)) || !r.count(j.ID) {
			continue
		}
		d := commentator.Decision{Detail: r.Detail, By: r.ID, Rule: r.String(), Revision: f.revision}
		if d.Detail != commentator.DetailFull {
			return d
		}
		d.Ratio = r.ratio()
		if !sampled(id, d.Ratio) || (r.limit != nil && !r.limit.allow(now)) {
			d.Detail = commentator.DetailTracking
		}
		return d
	}
	return f.others.decide(j, m, id)
}

// live puts a rule to work. One that was at work before, and is the same, goes on.
func (f *byFile) live(r SamplingRule, before *liveRule) *liveRule {
	if before != nil && before.String() == r.String() {
		return before
	}
	l := &liveRule{SamplingRule: r}
	if why := r.FitsNone(); why != "" {
		l.never = true
		f.log.Warn("a rule of the sampling file fits no job; the others hold", "file", f.path, "rule", r.ID, "error", why)
	}
	if r.PerMinute > 0 {
		l.limit = &minuteLimit{most: r.PerMinute}
	}
	if r.Jobs > 0 {
		done, err := f.decided(r.ID)
		if err != nil {
			f.log.Warn("it is not known how many jobs a sampling rule has decided; counting from 0", "rule", r.ID, "error", err)
		}
		l.left = r.Jobs - done
	}
	return l
}
