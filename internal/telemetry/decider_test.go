package telemetry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

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
	f := newFlipped(t, nil)
	f.write(t, SamplingRule{ID: "1", Detail: commentator.DetailOff})
	f.job("", "")
	for _, text := range []string{"rules: [", "rules:\n- detail: off\n  idd: x\n", "rules:\n- {id: a, detail: loud}\n"} {
		if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d := f.job("", ""); d.By != "1" {
			t.Errorf("%q: %+v", text, d)
		}
	}
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

func TestSamplingFileSaysWhatIsWrong(t *testing.T) {
	half, much := 0.5, 1.5
	for _, tc := range []struct {
		rules []SamplingRule
		says  string
	}{
		{[]SamplingRule{{Detail: commentator.DetailOff}}, "rule 1: id is missing"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff}, {ID: "a", Detail: commentator.DetailOff}}, `rule 2: id "a" is taken`},
		{[]SamplingRule{{ID: "a", Detail: "loud"}}, `detail "loud" is none of off, tracking, full`},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailFull, Ratio: &much}}, "ratio must be a number from 0 to 1"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, Ratio: &half}}, "with detail full"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, PerMinute: 1}}, "per_minute"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, Jobs: -1}}, "jobs -1 is negative"},
		{make([]SamplingRule, 101), "101 rules"},
	} {
		err := WriteSampling(filepath.Join(t.TempDir(), "s.yaml"), Sampling{Rules: tc.rules})
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%v does not say %q", err, tc.says)
		}
	}
	if err := WriteSampling(filepath.Join(t.TempDir(), "none", "s.yaml"), Sampling{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("into a folder that is not there: %v", err)
	}
}

// What is written is read back, and a new rule takes the place of the one with its conditions.
func TestSamplingFileIsReadAsWritten(t *testing.T) {
	ratio := 0.1
	path := filepath.Join(t.TempDir(), "s.yaml")
	s := Sampling{Rules: []SamplingRule{
		{ID: "old", Detail: commentator.DetailOff, Domain: "x.org"},
		{ID: "over", Detail: commentator.DetailOff, Channel: "C1", Until: testStart},
	}}.With(SamplingRule{ID: "other", Detail: commentator.DetailOff}, testStart).
		With(SamplingRule{ID: "new", Detail: commentator.DetailFull, Domain: "x.org", Ratio: &ratio, PerMinute: 3, Jobs: 4, Adapter: "", Until: testStart.Add(time.Hour)}, testStart)
	if err := WriteSampling(path, s); err != nil {
		t.Fatal(err)
	}
	got, revision, err := ReadSampling(path)
	if err != nil || len(revision) != 8 {
		t.Fatal(revision, err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Error(diff)
	}
	if len(got.Rules) != 2 || got.Rules[0].ID != "new" || got.Rules[1].ID != "other" {
		t.Errorf("rules %+v", got.Rules)
	}
	if text := got.Rules[0].String(); !strings.Contains(text, "0.1") || !strings.Contains(text, "x.org") || !strings.Contains(text, "3 a minute") {
		t.Errorf("rule in words: %s", text)
	}
}
