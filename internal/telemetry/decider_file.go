package telemetry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// refresh reads the file again when it is another one. When it cannot be read, what held last does;
// that is said once, and the file is tried again with each job.
func (f *byFile) refresh() {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular() && isNull(f.path):
		info = nil
		f.forget()
	case err != nil:
		f.fallBack(fmt.Errorf("look at sampling file: %w", explainReading(f.path, err)))
		return
	}
	if f.current && sameFile(info, f.seen) {
		f.wrong = ""
		return
	}
	body, s, revision, err := readSampling(f.path)
	if err != nil {
		f.fallBack(err)
		return
	}
	if info != nil {
		f.keep(body, info.Mode().Perm())
	}
	f.seen, f.current, f.wrong = info, true, ""
	f.use(s, revision)
}

// start forgets what is kept of a file that was removed meanwhile, before anyone can spoil a new one. It
// puts no rules to work: how many jobs they have decided is counted when the first job starts, since
// other processes decide until then.
func (f *byFile) start() {
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		f.forget()
	}
}

// sameFile reports whether a file is as it was; nil: there is none.
func sameFile(now, before os.FileInfo) bool {
	if now == nil || before == nil {
		return now == nil && before == nil
	}
	return os.SameFile(now, before) && now.ModTime().Equal(before.ModTime()) && now.Size() == before.Size()
}

// use puts rules to work, and says so when others were at work before.
func (f *byFile) use(s Sampling, revision string) {
	before := map[string]*liveRule{}
	for _, r := range f.rules {
		before[r.ID] = r
	}
	same := func(a *liveRule, b SamplingRule) bool { return a.ID == b.ID && a.String() == b.String() }
	changed := !slices.EqualFunc(f.rules, s.Rules, same)
	f.rules, f.revision = make([]*liveRule, 0, len(s.Rules)), revision
	for _, r := range s.Rules {
		f.rules = append(f.rules, f.live(r, before[r.ID]))
	}
	if f.looked && changed {
		f.log.Info("sampling rules changed", "file", f.path, "revision", revision, "rules", len(f.rules))
	}
	f.looked = true
}

// fallBack uses the last good content of a file that cannot be read, if somebody kept one since this
// process read the file: after a start, or when `commentator tracing` wrote one and no job came
// before it was spoilt.
func (f *byFile) fallBack(err error) {
	s, revision, lastErr := LastSampling(f.path)
	switch {
	case lastErr != nil:
		err = fmt.Errorf("%w; %w", err, lastErr)
	case revision != "" && revision != f.kept:
		f.kept, f.current = revision, false
		f.use(s, revision)
	}
	f.looked = true
	f.complain(err)
}

// complain logs what is wrong with the file and what holds meanwhile, once.
func (f *byFile) complain(err error) {
	if err.Error() == f.wrong {
		return
	}
	f.wrong = err.Error()
	switch {
	case len(f.rules) == 0:
		f.log.Error("the sampling file is not used; what the settings say holds", "error", err)
	case !f.current:
		f.log.Error("the sampling file is not used; the rules that were kept of it hold on", "kept", LastSamplingPath(f.path), "revision", f.revision, "error", err)
	default:
		f.log.Error("the sampling file is not used; the rules before it hold on", "error", err)
	}
}

// keep copies what was read, for a time when the file cannot be read.
func (f *byFile) keep(body []byte, mode fs.FileMode) {
	f.last = LastSamplingPath(f.path)
	var err error
	f.kept, err = keepSampling(f.path, body, mode)
	f.notKept(err)
}

// forget removes what is kept of a file that was removed. What is kept of one that a link led to, and
// that is still there, stays for others: here nothing leads to it without the link.
func (f *byFile) forget() {
	if f.last == "" {
		f.last = LastSamplingPath(f.path)
	}
	err := forgetSampling(f.last)
	f.kept = ""
	if err != nil {
		f.kept = keptRevision(f.last) // it stays, and is not used
	}
	f.notKept(err)
	if f.seen != nil && err == nil {
		f.last = LastSamplingPath(f.path) // a link may be gone
	}
}

// notKept says once that what is kept cannot be changed. No job fails for it.
func (f *byFile) notKept(err error) {
	if err == nil || f.unkept {
		return
	}
	f.unkept = true
	f.log.Warn("what the sampling file holds cannot be kept; should it not be readable at a start, older rules or the settings hold", "file", f.last, "error", err)
}
