package telemetry

import (
	"log/slog"
	"os"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

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
// It looks at the file whenever a job starts, so that a change holds for the next job and
// nothing has to run meanwhile.
type byFile struct {
	path    string
	others  decider
	adapter func(commentator.Job) string
	decided func(rule string) (int64, error) // by earlier processes
	now     func() time.Time
	log     *slog.Logger

	mu       sync.Mutex
	seen     os.FileInfo // of the file as it was read last; nil: there was none
	revision string
	rules    []*liveRule
}

// liveRule is a rule at work.
type liveRule struct {
	SamplingRule
	limit *rate.Limiter // nil: none
	left  int64         // decisions until it ends; with Jobs only
}

func (f *byFile) decide(j commentator.Job, m commentator.Message, id trace.TraceID) commentator.Decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	now := f.now()
	for _, r := range f.rules {
		if r.over(now) || (r.Jobs > 0 && r.left <= 0) || !r.fits(j, m, f.adapter(j)) {
			continue
		}
		r.left--
		d := commentator.Decision{Detail: r.Detail, By: r.ID, Rule: r.String(), Revision: f.revision}
		if d.Detail != commentator.DetailFull {
			return d
		}
		d.Ratio = r.ratio()
		if !sampled(id, d.Ratio) || (r.limit != nil && !r.limit.AllowN(now, 1)) {
			d.Detail = commentator.DetailTracking
		}
		return d
	}
	return f.others.decide(j, m, id)
}

// refresh reads the file again when it is another one. Rules of a file that cannot be read
// stay as they were; that is said once.
func (f *byFile) refresh() {
	info, err := os.Stat(f.path)
	if err != nil {
		info = nil
	}
	if (info == nil && f.seen == nil) || (info != nil && f.seen != nil &&
		os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size()) {
		return
	}
	f.seen = info
	s, revision, err := ReadSampling(f.path)
	if err != nil {
		f.log.Error("the sampling file is not used; the rules before it hold on", "error", err)
		return
	}
	before := map[string]*liveRule{}
	for _, r := range f.rules {
		before[r.ID] = r
	}
	f.rules, f.revision = make([]*liveRule, 0, len(s.Rules)), revision
	for _, r := range s.Rules {
		f.rules = append(f.rules, f.live(r, before[r.ID]))
	}
	f.log.Info("sampling rules changed", "file", f.path, "revision", revision, "rules", len(f.rules))
}

// live puts a rule to work. One that was at work before, and is the same, goes on.
func (f *byFile) live(r SamplingRule, before *liveRule) *liveRule {
	if before != nil && before.String() == r.String() {
		return before
	}
	l := &liveRule{SamplingRule: r}
	if r.PerMinute > 0 {
		l.limit = rate.NewLimiter(rate.Every(time.Minute/time.Duration(r.PerMinute)), r.PerMinute)
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
