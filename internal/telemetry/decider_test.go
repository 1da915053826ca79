package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
)

// flipped is a provider with a sampling file that does not exist yet, and a clock.
type flipped struct {
	*Provider
	file string
	now  time.Time
	next int64
}

func newFlipped(t *testing.T, change func(*Config)) *flipped {
	t.Helper()
	f := &flipped{file: filepath.Join(t.TempDir(), "sampling.yaml"), now: testStart}
	f.Provider, _ = newTestProvider(t, func(c *Config) {
		c.SamplingFile = f.file
		c.Now = func() time.Time { return f.now }
		if change != nil {
			change(c)
		}
	})
	return f
}

// write replaces the file.
func (f *flipped) write(t *testing.T, rules ...SamplingRule) {
	t.Helper()
	if err := WriteSampling(f.file, Sampling{Rules: rules}); err != nil {
		t.Fatal(err)
	}
}

// job decides about a job that nobody has decided about.
func (f *flipped) job(domain, channel string) commentator.Decision {
	f.next++
	return f.Decide(commentator.Job{ID: f.next, StoreID: testStore, CreatedAt: testStart, Domain: domain},
		commentator.Message{Channel: channel})
}

func TestRulesDecideFromTheNextJobOn(t *testing.T) {
	f := newFlipped(t, nil)
	if d := f.job("a.org", "C1"); d.Detail != commentator.DetailFull || d.By != commentator.BySettings || d.Ratio != 1 {
		t.Errorf("without a file: %+v", d)
	}
	f.write(t,
		SamplingRule{ID: "quiet", Detail: commentator.DetailOff, Channel: "C2"},
		SamplingRule{ID: "arxiv", Detail: commentator.DetailFull, Domain: "arxiv.org"},
		SamplingRule{ID: "rest", Detail: commentator.DetailTracking},
	)
	for _, tc := range []struct {
		domain, channel, by string
		want                commentator.Detail
	}{
		{"arxiv.org", "C1", "arxiv", commentator.DetailFull},
		{"export.arxiv.org", "C1", "arxiv", commentator.DetailFull},
		{"notarxiv.org", "C1", "rest", commentator.DetailTracking},
		{"arxiv.org", "C2", "quiet", commentator.DetailOff},
	} {
		d := f.job(tc.domain, tc.channel)
		if d.Detail != tc.want || d.By != tc.by || d.Rule == "" || len(d.Revision) != 8 {
			t.Errorf("%s in %s: %+v", tc.domain, tc.channel, d)
		}
	}
	before := f.job("x.org", "C1").Revision
	f.write(t, SamplingRule{ID: "all", Detail: commentator.DetailFull})
	if d := f.job("x.org", "C2"); d.Detail != commentator.DetailFull || d.By != "all" || d.Revision == before {
		t.Errorf("after the flip: %+v", d)
	}
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	if d := f.job("x.org", "C2"); d.By != commentator.BySettings {
		t.Errorf("after the file is gone: %+v", d)
	}
}

// A rule that names an adapter is for pages that this one reads, a rule that names none for all.
func TestRulesOfAnAdapter(t *testing.T) {
	f := newFlipped(t, func(c *Config) {
		c.Adapter = func(j commentator.Job) string {
			return map[string]string{"arxiv.org": "ArxivAdapter", "a.org": "GenericAdapter"}[j.Domain]
		}
	})
	f.write(t,
		SamplingRule{ID: "papers", Detail: commentator.DetailFull, Adapter: "ArxivAdapter"},
		SamplingRule{ID: "rest", Detail: commentator.DetailOff})
	for domain, want := range map[string]string{"arxiv.org": "papers", "a.org": "rest", "": "rest"} {
		if d := f.job(domain, "C1"); d.By != want {
			t.Errorf("a page of %q: %+v, want the rule %s", domain, d, want)
		}
	}
}

// As many jobs as a rule says are traced in full within a minute, also if that is one.
func TestRulesLimitTheJobsOfAMinute(t *testing.T) {
	for _, most := range []int{1, 2} {
		f := newFlipped(t, nil)
		f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailFull, PerMinute: most})
		for minute := range 2 {
			f.now = testStart.Add(time.Duration(minute) * time.Minute)
			for n := range most + 2 {
				want := commentator.DetailFull
				if n >= most {
					want = commentator.DetailTracking
				}
				if d := f.job("a.org", "C1"); d.Detail != want || d.By != "1" {
					t.Errorf("limit %d, minute %d: job %d gets %+v, want %s", most, minute, n+1, d, want)
				}
			}
		}
	}
}

// The file raises tracking to full too; off by settings stays off, see TestOffIsFree.
func TestRulesRaiseTracking(t *testing.T) {
	f := newFlipped(t, func(c *Config) { c.Mode = ModeTracking })
	if d := f.job("a.org", ""); d.Detail != commentator.DetailTracking {
		t.Errorf("without a file: %+v", d)
	}
	f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailFull})
	if d := f.job("a.org", ""); d.Detail != commentator.DetailFull {
		t.Errorf("with a rule: %+v", d)
	}
}

func TestRulesEnd(t *testing.T) {
	ratio := 0.25
	t.Run("at a time", func(t *testing.T) {
		f := newFlipped(t, nil)
		f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailOff, Until: testStart.Add(time.Minute)})
		f.now = testStart.Add(59 * time.Second)
		if d := f.job("", ""); d.Detail != commentator.DetailOff {
			t.Errorf("before: %+v", d)
		}
		f.now = testStart.Add(time.Minute)
		if d := f.job("", ""); d.By != commentator.BySettings {
			t.Errorf("after: %+v", d)
		}
	})
	t.Run("after some jobs, those of an earlier process among them", func(t *testing.T) {
		f := newFlipped(t, func(c *Config) {
			c.Decided = func(rule string) (int64, error) { return map[string]int64{"five": 3}[rule], nil }
		})
		f.write(t, SamplingRule{ID: "five", Detail: commentator.DetailOff, Jobs: 5})
		var got []string
		for range 3 {
			got = append(got, f.job("", "").By)
		}
		if diff := cmp.Diff([]string{"five", "five", commentator.BySettings}, got); diff != "" {
			t.Error(diff)
		}
		// Another rule in front of it does not make it begin anew.
		f.write(t, SamplingRule{ID: "x", Detail: commentator.DetailOff, Domain: "x.org"},
			SamplingRule{ID: "five", Detail: commentator.DetailOff, Jobs: 5})
		if d := f.job("", ""); d.By != commentator.BySettings {
			t.Errorf("after a rewrite: %+v", d)
		}
	})
	t.Run("at so many a minute", func(t *testing.T) {
		f := newFlipped(t, nil)
		f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailFull, PerMinute: 2})
		count := func() (full int) {
			for range 10 {
				if d := f.job("", ""); d.Detail == commentator.DetailFull {
					full++
				} else if d.Detail != commentator.DetailTracking {
					t.Errorf("beyond the limit: %+v", d)
				}
			}
			return full
		}
		if n := count(); n != 2 {
			t.Errorf("%d full jobs in the first minute", n)
		}
		f.now = f.now.Add(time.Minute)
		if n := count(); n != 2 {
			t.Errorf("%d full jobs in the second minute", n)
		}
	})
	t.Run("after some jobs, of which one that asks again counts once", func(t *testing.T) {
		f := newFlipped(t, nil)
		f.write(t, SamplingRule{ID: "two", Detail: commentator.DetailOff, Jobs: 2})
		again := func() string { f.next--; return f.job("", "").By }
		got := []string{f.job("", "").By, again(), again(), f.job("", "").By, again(), f.job("", "").By}
		if diff := cmp.Diff([]string{"two", "two", "two", "two", "two", commentator.BySettings}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a share, by the trace id", func(t *testing.T) {
		f, g := newFlipped(t, nil), newFlipped(t, nil)
		for _, x := range []*flipped{f, g} {
			x.write(t, SamplingRule{ID: "1", Detail: commentator.DetailFull, Ratio: &ratio})
		}
		full := 0
		for range 2000 {
			a, b := f.job("", ""), g.job("", "")
			if a != b {
				t.Fatalf("two processes decide %+v and %+v", a, b)
			}
			if a.Detail == commentator.DetailFull {
				full++
			}
		}
		if full < 400 || full > 600 {
			t.Errorf("%d of 2000 jobs are full with ratio 0.25", full)
		}
	})
}

// A file that somebody broke changes nothing until it is mended.
func TestBrokenSamplingFileIsNotUsed(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	broken := []string{"rules: [", "rules:\n- detail: off\n  idd: x\n", "rules:\n- {id: a, detail: loud}\n"}
	breakIt := func(by, says string) {
		t.Helper()
		for _, text := range broken {
			if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			logged.Reset()
			for range 3 {
				if d := f.job("", ""); d.By != by {
					t.Errorf("%q: %+v", text, d)
				}
			}
			if n := strings.Count(logged.String(), says); n != 1 || strings.Count(logged.String(), "level=ERROR") != 1 {
				t.Errorf("%q is logged %d times:\n%s", text, n, &logged)
			}
		}
	}
	breakIt(commentator.BySettings, "what the settings say holds")
	f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailOff})
	f.job("", "")
	breakIt("1", "the rules before it hold on")
}

// A file that could not be looked at for a moment is read once it can be, though it is the same.
func TestSamplingFileIsTriedUntilItIsRead(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailOff})
	f.job("", "")

	// root may read everything, so a link to itself stands for what cannot be looked at.
	aside := f.file + ".aside" // it stays, so that its inode is not used again
	if err := errors.Join(os.Rename(f.file, aside), os.Symlink(filepath.Base(f.file), f.file)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if d := f.job("", ""); d.By != "1" {
			t.Errorf("while the file cannot be looked at: %+v", d)
		}
	}
	if n := strings.Count(logged.String(), "look at sampling file"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &logged)
	}

	// A folder can be looked at and not be read.
	if err := errors.Join(os.Remove(f.file), os.Mkdir(f.file, 0o700)); err != nil {
		t.Fatal(err)
	}
	if d := f.job("", ""); d.By != "1" || !strings.Contains(logged.String(), "is a directory") {
		t.Errorf("while the file cannot be read: %+v\n%s", d, &logged)
	}
	info, err := os.Stat(f.file)
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(f.decider.(*byFile).seen, info) {
		t.Error("what could not be read counts as read")
	}
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	f.write(t, SamplingRule{ID: "2", Detail: commentator.DetailOff})
	if d := f.job("", ""); d.By != "2" {
		t.Errorf("after it was mended: %+v", d)
	}
}

// In no minute more events are let through than the limit says, and in a minute without any
// as many as it says.
func TestMinuteLimitHoldsInEveryMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 20).Draw(t, "most")
		l := minuteLimit{most: most}
		now := testStart
		var let []time.Time
		for range 300 {
			now = now.Add(time.Duration(rapid.IntRange(0, 9000).Draw(t, "ms")) * time.Millisecond)
			n := 0
			for _, at := range let {
				if now.Sub(at) < time.Minute {
					n++
				}
			}
			if got := l.allow(now); got != (n < most) {
				t.Fatalf("%d of %d in the minute before %v: let through: %v", n, most, now, got)
			} else if got {
				let = append(let, now)
			}
		}
		if len(l.times) > most {
			t.Fatalf("%d times are kept for a limit of %d", len(l.times), most)
		}
	})
}

func TestFlippedRuleLeavesStartedJobsAlone(t *testing.T) {
	f := newFlipped(t, nil)
	j := testJob(f.Provider, 1)
	f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailTracking})
	if d := f.job("", ""); d.Detail != commentator.DetailTracking {
		t.Errorf("a job that starts now: %+v", d)
	}
	ctx, _ := f.StartStage(context.Background(), j, commentator.StageA)
	if _, d := StartDetail(ctx, "x", trace.SpanKindInternal); !d.Recording() {
		t.Error("a job that started in full detail lost its detail")
	}
}

// Workers that share a database have it say how many jobs a rule has decided when they read the rule, and
// then count for themselves: docs/GUIDE.md and docs/ARCHITECTURE.md say so.
func TestEachWorkerCountsItsOwnJobs(t *testing.T) {
	var decided int64
	f := newFlipped(t, nil)
	f.write(t, SamplingRule{ID: "2", Detail: commentator.DetailOff, Jobs: 2})
	worker := func() *flipped {
		return newFlipped(t, func(c *Config) {
			c.SamplingFile = f.file
			c.Decided = func(string) (int64, error) { return decided, nil }
		})
	}
	a, b := worker(), worker()
	for i, want := range []string{"2", "2", commentator.BySettings} {
		for _, w := range []*flipped{a, b} {
			if d := w.job("", ""); d.By != want {
				t.Errorf("job %d of a worker: %+v, want %s", i+1, d, want)
			}
		}
	}
	decided = 2
	if d := worker().job("", ""); d.By != commentator.BySettings {
		t.Errorf("a worker that starts later: %+v", d)
	}
}
