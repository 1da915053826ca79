// Package repeats keeps a log readable while something that is tried all the time fails: a full
// disk would have it say the same several times a second.
package repeats

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

const (
	// Again is how often a trouble that lasts is said once more.
	Again = 10 * time.Minute
	// Over is how long a trouble has not come any more when it is said to be over.
	Over = time.Minute

	most = 100 // troubles that are known at a time; more pass as they come
)

// Handler lets a warning or error pass when it comes first, then once in Again with how often it
// came, and says when it has not come for Over. Two are the same when message and error are, but
// for numbers, such as ports and durations. What is about a job, with a job_id, passes always.
type Handler struct {
	next  slog.Handler
	known *known // shared by the handlers that are made of this one
}

type known struct {
	mu       sync.Mutex
	troubles map[string]*trouble
}

type trouble struct {
	next                slog.Handler
	level               slog.Level
	message, err        string
	times               int
	first, last, passed time.Time
	over                *time.Timer
}

// New makes a handler in front of another one.
func New(next slog.Handler) *Handler {
	return &Handler{next: next, known: &known{troubles: map[string]*trouble{}}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	err, ofJob := look(r)
	if r.Level < slog.LevelWarn || ofJob {
		return h.next.Handle(ctx, r)
	}
	pass, times := h.known.note(h.next, r, err)
	if !pass {
		return nil
	}
	if times > 1 {
		r = r.Clone()
		r.AddAttrs(slog.Int("times", times))
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{next: h.next.WithAttrs(attrs), known: h.known}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{next: h.next.WithGroup(name), known: h.known}
}

// End says how often the troubles came that are not said to be over. Nothing is said by itself any
// more then.
func (h *Handler) End() {
	h.known.mu.Lock()
	all := h.known.troubles
	h.known.troubles = map[string]*trouble{}
	h.known.mu.Unlock()
	for _, t := range all {
		t.over.Stop()
		t.say("until the end")
	}
}

// look finds the error of a record, and whether it is about a job.
func look(r slog.Record) (err string, ofJob bool) {
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "err", "error":
			err = a.Value.String()
		case "job_id":
			ofJob = true
		}
		return true
	})
	return err, ofJob
}

var number = regexp.MustCompile(`[0-9]+`)

// note counts a record and reports whether it passes.
func (k *known) note(next slog.Handler, r slog.Record, err string) (pass bool, times int) {
	key := r.Message + "\n" + number.ReplaceAllString(err, "0")
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.troubles[key]
	if t == nil {
		if len(k.troubles) < most {
			t = &trouble{next: next, level: r.Level, message: r.Message, err: err, times: 1, first: now, last: now, passed: now}
			t.over = time.AfterFunc(Over, func() { k.end(key, t) })
			k.troubles[key] = t
		}
		return true, 1
	}
	t.times++
	t.last = now
	t.over.Reset(Over)
	if now.Sub(t.passed) < Again {
		return false, t.times
	}
	t.passed = now
	return true, t.times
}

// end forgets a trouble that has not come for Over.
func (k *known) end(key string, t *trouble) {
	k.mu.Lock()
	over := k.troubles[key] == t && time.Since(t.last) >= Over // it may have come at this moment
	if over {
		delete(k.troubles, key)
	}
	k.mu.Unlock()
	if over {
		t.say("has not come for " + Over.String())
	}
}

// say sums up a trouble that came more than once.
func (t *trouble) say(how string) {
	ctx := context.Background()
	if t.times < 2 || !t.next.Enabled(ctx, t.level) {
		return
	}
	r := slog.NewRecord(time.Now(), t.level, "repeated: "+t.message, 0)
	r.AddAttrs(slog.String("err", t.err), slog.Int("times", t.times), slog.String("for", t.last.Sub(t.first).Round(time.Second).String()), slog.String("now", how))
	_ = t.next.Handle(ctx, r) // there is nobody to tell
}
