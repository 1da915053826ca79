package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestSamplingFileSaysWhatIsWrong(t *testing.T) {
	half, much := 0.5, 1.5
	for _, tc := range []struct {
		rules []SamplingRule
		says  string
	}{
		{[]SamplingRule{{Detail: commentator.DetailOff}}, "rule 1: id is missing"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff}, {ID: "a", Detail: commentator.DetailOff}}, `rule 2: id "a" is taken`},
		{[]SamplingRule{{ID: "settings", Detail: commentator.DetailOff}}, `rule 1: id "settings" is what decisions say that no rule took`},
		{[]SamplingRule{{ID: "remote", Detail: commentator.DetailOff}}, `rule 1: id "remote"`},
		{[]SamplingRule{{ID: "a", Detail: "loud"}}, `detail "loud" is none of off, tracking, full`},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailFull, Ratio: &much}}, "ratio must be a number from 0 to 1"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, Ratio: &half}}, "with detail full"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, PerMinute: 1}}, "per_minute"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, Jobs: -1}}, "jobs -1 is negative"},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, Domain: "https://arxiv.org/abs"}}, `rule 1: domain "https://arxiv.org/abs" is no host: write it without scheme`},
		{[]SamplingRule{{ID: "a", Detail: commentator.DetailOff, Domain: "xn--zzzzzz99999.de"}}, `rule 1: domain "xn--zzzzzz99999.de" is no host`},
		{make([]SamplingRule, 101), "101 rules are more than the 100 that are allowed; `commentator tracing reset`"},
	} {
		err := WriteSampling(filepath.Join(t.TempDir(), "s.yaml"), Sampling{Rules: tc.rules})
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%v does not say %q", err, tc.says)
		}
	}
	missing := filepath.Join(t.TempDir(), "none", "s.yaml")
	_, err := LockSampling(t.Context(), missing)
	for _, err := range []error{err, WriteSampling(missing, Sampling{})} {
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make the folder "+filepath.Dir(missing)+", or set SAMPLING_FILE") {
			t.Errorf("into a folder that is not there: %v", err)
		}
	}
}

func TestATimeThatIsNoneIsNamedWithItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	for text, says := range map[string]string{
		"rules:\n- {id: a, detail: off}\n- id: b\n  detail: off\n  until: tomorrow\n": `line 5: rule 2: until "tomorrow" is no time: write one such as 2026-07-31T18:00:00Z; mend it`,
		"rules:\n- {id: a, detail: off, until: 7}\n":                                  `line 2: rule 1: until "7" is no time`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadSampling(path); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "2006") {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	for _, right := range []string{"2026-07-31T18:00:00Z", `"2026-07-31T18:00:00+02:00"`, "2026-07-31", "null"} {
		if err := os.WriteFile(path, []byte("rules: [{id: a, detail: off, until: "+right+"}]"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadSampling(path); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
}

func TestASamplingFileThatIsOutOfReachSaysWhatToDo(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	denied := &os.PathError{Op: "open", Path: "f/s.yaml", Err: os.ErrPermission}
	_, _, reading := ReadSampling(folder)
	for _, tc := range []struct {
		err  error
		says string
	}{
		{reading, "move the folder " + folder + " away, or let SAMPLING_FILE name a file"},
		{WriteSampling(folder, Sampling{}), "move the folder " + folder + " away"},
		{explainReading("f/s.yaml", denied), "chmod a+r f/s.yaml"},
		{explainWriting("f/s.yaml", denied), "run this as a user that may write to the folder f, such as the worker's, or let SAMPLING_FILE"},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.says) {
			t.Errorf("%v does not say %q", tc.err, tc.says)
		}
	}
}

func TestHostsOfOtherScriptsFitInEitherForm(t *testing.T) {
	for _, rule := range []string{"München.de.", "xn--mnchen-3ya.de"} {
		f := newFlipped(t, nil)
		if err := os.WriteFile(f.file, []byte("rules: [{id: a, detail: off, domain: "+rule+"}]"), 0o600); err != nil {
			t.Fatal(err)
		}
		for host, by := range map[string]string{
			"münchen.de": "a", "xn--mnchen-3ya.de": "a", "www.münchen.de": "a", "munchen.de": commentator.BySettings,
			"a_b--c.example": commentator.BySettings, "": commentator.BySettings, "127.0.0.1": commentator.BySettings,
		} {
			if d := f.job(host, ""); d.By != by {
				t.Errorf("%s, rule for %s: %+v", host, rule, d)
			}
		}
	}
	for host, want := range map[string]bool{
		"r3---sn_a.example.com": true, "127.0.0.1": true, "::1": true, "localhost": true, "日本。jp": true,
		"": false, "a b": false, "*.a.org": false, "a.org:1": false, "a..org": false, "//a": false,
	} {
		if _, ok := RuleHost(host); ok != want {
			t.Errorf("%q is a host: %v", host, ok)
		}
	}
}

// What is written is read back, and a new rule takes the place of the one with its conditions.
func TestSamplingFileIsReadAsWritten(t *testing.T) {
	ratio := 0.1
	path := filepath.Join(t.TempDir(), "s.yaml")
	s := Sampling{Rules: []SamplingRule{
		{ID: "old", Detail: commentator.DetailOff, Domain: "x.org", Jobs: 3},
		{ID: "over", Detail: commentator.DetailOff, Channel: "C1", Until: testStart},
	}}.With(SamplingRule{ID: "other", Detail: commentator.DetailOff}, testStart, nil).
		With(SamplingRule{ID: "new", Detail: commentator.DetailFull, Domain: "x.org", Ratio: &ratio, PerMinute: 3, Jobs: 4, Adapter: "", Until: testStart.Add(time.Hour)}, testStart, nil)
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

// A rule for some time stands in for the one below it, which holds again afterwards.
func TestRuleThatEndsLeavesTheOneThatDoesNot(t *testing.T) {
	off := func(id string) SamplingRule { return SamplingRule{ID: id, Detail: commentator.DetailOff} }
	timed := func(id string) SamplingRule {
		return SamplingRule{ID: id, Detail: commentator.DetailFull, Until: testStart.Add(time.Second)}
	}
	counted := func(id string) SamplingRule {
		return SamplingRule{ID: id, Detail: commentator.DetailFull, Jobs: 2}
	}
	elsewhere := SamplingRule{ID: "elsewhere", Detail: commentator.DetailOff, Domain: "x.org"}
	for _, tc := range []struct {
		name    string
		rules   []SamplingRule
		add     SamplingRule
		decided map[string]int64
		want    string
	}{
		{"some time above for good", []SamplingRule{off("old")}, timed("new"), nil, "new old"},
		{"some jobs above for good", []SamplingRule{off("old")}, counted("new"), nil, "new old"},
		{"some jobs for some time", []SamplingRule{timed("before"), off("old")}, counted("new"), nil, "new old"},
		{"for good for all", []SamplingRule{timed("before"), off("old")}, off("new"), nil, "new"},
		{"others stay", []SamplingRule{elsewhere, off("old")}, timed("new"), nil, "new elsewhere old"},
		{"what has begun stays", []SamplingRule{counted("old")}, elsewhere, map[string]int64{"old": 1}, "elsewhere old"},
		{"what is over goes", []SamplingRule{counted("old")}, elsewhere, map[string]int64{"old": 2}, "elsewhere"},
	} {
		var got []string
		for _, r := range (Sampling{Rules: tc.rules}).With(tc.add, testStart, tc.decided).Rules {
			got = append(got, r.ID)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: rules %v, want %s", tc.name, got, tc.want)
		}
	}

	f := newFlipped(t, nil)
	f.write(t, Sampling{Rules: []SamplingRule{off("old")}}.With(timed("new"), testStart, nil).Rules...)
	if d := f.job("", ""); d.By != "new" {
		t.Errorf("while it holds: %+v", d)
	}
	f.now = testStart.Add(time.Second)
	if d := f.job("", ""); d.By != "old" {
		t.Errorf("afterwards: %+v", d)
	}
}

func TestHostsAreComparedAsTheyAre(t *testing.T) {
	f := newFlipped(t, nil)
	if err := os.WriteFile(f.file, []byte("rules: [{id: a, detail: off, domain: ARXIV.org.}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"arxiv.org", "arxiv.org.", "export.arxiv.org"} {
		if d := f.job(host, ""); d.By != "a" {
			t.Errorf("%s: %+v", host, d)
		}
	}
}

func TestRulesOfSeveralWritersAreAllKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	const writers = 4
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			unlock, err := LockSampling(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			s, _, err := ReadSampling(path)
			rule := SamplingRule{ID: fmt.Sprint(i), Detail: commentator.DetailOff, Domain: fmt.Sprintf("d%d.org", i)}
			if err = errors.Join(err, WriteSampling(path, s.With(rule, testStart, nil))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s, _, err := ReadSampling(path); len(s.Rules) != writers || err != nil {
		t.Errorf("%d rules, %v", len(s.Rules), err)
	}
}

// A sampling file may be a link, such as into a folder that releases share: also a link to a
// link, from a folder that is one, to a file that is not there yet.
func TestLinkToASamplingFileStays(t *testing.T) {
	dir := t.TempDir()
	real, current := filepath.Join(dir, "releases", "2"), filepath.Join(dir, "current")
	link := filepath.Join(current, "s.yaml")
	target := filepath.Join(dir, "releases", "shared.yaml")
	if err := errors.Join(os.MkdirAll(real, 0o700), os.Symlink(real, current),
		os.Symlink("../hop.yaml", link), os.Symlink(target, filepath.Join(dir, "releases", "hop.yaml"))); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second"} {
		unlock, err := LockSampling(t.Context(), link)
		if err != nil {
			t.Fatal(err)
		}
		err = WriteSampling(link, Sampling{Rules: []SamplingRule{{ID: id, Detail: commentator.DetailOff}}})
		unlock()
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(link)
		if err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link is %v, %v", info, err)
		}
		if s, _, err := ReadSampling(target); err != nil || len(s.Rules) != 1 || s.Rules[0].ID != id {
			t.Errorf("behind the link are %+v, %v", s, err)
		}
	}
	if _, err := os.Stat(target + ".lock"); err != nil { // the same for whoever comes by another link
		t.Error(err)
	}
}

// Root could put a file in the place of what a link leads to, such as /dev/null of a container.
func TestASamplingFileThatIsNoneIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "s.yaml")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink(pipe, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, link} {
		unlock, err := LockSampling(t.Context(), path)
		if err == nil {
			unlock()
		}
		for _, err := range []error{err, WriteSampling(path, Sampling{})} {
			if err == nil || !strings.Contains(err.Error(), "let SAMPLING_FILE name a file") {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if info, err := os.Lstat(pipe); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe is %v, %v", info, err)
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) != 2 {
		t.Errorf("beside it are %v, %v", made, err)
	}
}

// /dev/null says on purpose that there are no rules.
func TestASamplingFileMayBeNull(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	f.write(t, SamplingRule{ID: "off", Detail: commentator.DetailOff})
	f.job("", "")
	if err := errors.Join(os.Remove(f.file), os.Symlink(os.DevNull, f.file)); err != nil {
		t.Fatal(err)
	}
	if d := f.job("", ""); d.By != commentator.BySettings {
		t.Errorf("%+v", d)
	}
	if strings.Contains(logged.String(), "not used") {
		t.Errorf("logged:\n%s", &logged)
	}
	for _, path := range []string{f.file, os.DevNull} {
		if s, revision, err := ReadSampling(path); err != nil || revision != "" || len(s.Rules) != 0 {
			t.Errorf("%s: %+v, %q, %v", path, s, revision, err)
		}
	}
}

// A file that people or older releases wrote keeps its other rules when one has a domain that is no host.
func TestARuleWhoseDomainIsNoHostLeavesTheOthers(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	for _, domain := range []string{"https://arxiv.org/abs", "*.arxiv.org", "arxiv.org:443", "xn--zzzzzz99999.de", "."} {
		logged.Reset()
		text := "rules: [{id: no, detail: full, domain: '" + domain + "'}, {id: a, detail: off, domain: x.org}, {id: rest, detail: tracking}]"
		if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for host, by := range map[string]string{"arxiv.org": "rest", "www.x.org": "a", domain: "rest", "": "rest"} {
			if d := f.job(host, ""); d.By != by {
				t.Errorf("domain %q, a job of %q: %+v", domain, host, d)
			}
		}
		if n := strings.Count(logged.String(), "fits no job; the others hold"); n != 1 || !strings.Contains(logged.String(), "rule=no") || strings.Contains(logged.String(), "level=ERROR") {
			t.Errorf("domain %q is logged %d times:\n%s", domain, n, &logged)
		}
	}
	s, _, err := ReadSampling(f.file)
	if err != nil || s.Rules[0].FitsNone() == "" || s.Rules[1].FitsNone() != "" || s.Rules[2].FitsNone() != "" {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := WriteSampling(f.file, s); err == nil || !strings.Contains(err.Error(), "rule 1: domain") {
		t.Errorf("such a rule is written: %v", err)
	}
	// A new rule can be put before them.
	if err := WriteSampling(f.file, s.With(SamplingRule{ID: "new", Detail: commentator.DetailOff, Channel: "C1"}, testStart, nil)); err != nil {
		t.Error(err)
	}
	if s, _, err = ReadSampling(f.file); err != nil || len(s.Rules) != 3 || s.Rules[1].ID != "a" {
		t.Errorf("%+v, %v", s, err)
	}
}
