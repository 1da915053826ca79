package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// spoil writes what nobody can read in the place of the rules.
func (f *flipped) spoil(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(f.file, []byte("rules: ["), 0o600); err != nil {
		t.Fatal(err)
	}
}

// again is another process with the same file.
func (f *flipped) again(t *testing.T, logged *bytes.Buffer) *flipped {
	t.Helper()
	g := newFlipped(t, func(c *Config) {
		c.SamplingFile = f.file
		c.Logger = slog.New(slog.NewTextHandler(logged, nil))
	})
	g.file = f.file
	return g
}

var offByHand = []byte("rules: [{id: hand, detail: off}]\n")

func TestABrokenSamplingFileLeavesWhatWasAskedForLast(t *testing.T) {
	off := SamplingRule{ID: "off", Detail: commentator.DetailOff}
	t.Run("written while no job came", func(t *testing.T) {
		var logged bytes.Buffer
		f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
		f.write(t, SamplingRule{ID: "full", Detail: commentator.DetailFull})
		f.job("", "")
		f.write(t, off)
		_, revision, err := ReadSampling(f.file)
		if err != nil {
			t.Fatal(err)
		}
		f.spoil(t)
		for range 2 {
			if d := f.job("", ""); d.By != "off" || d.Detail != commentator.DetailOff || d.Revision != revision {
				t.Errorf("%+v, want rule off of revision %s", d, revision)
			}
		}
		if n := strings.Count(logged.String(), "the rules that were kept of it hold on"); n != 1 || !strings.Contains(logged.String(), LastSamplingPath(f.file)) {
			t.Errorf("logged %d times:\n%s", n, &logged)
		}
	})
	t.Run("written by hand, before a restart", func(t *testing.T) {
		var logged bytes.Buffer
		f := newFlipped(t, nil)
		if err := os.WriteFile(f.file, offByHand, 0o600); err != nil {
			t.Fatal(err)
		}
		f.job("", "")
		if info, err := os.Stat(LastSamplingPath(f.file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("what is kept: %v, %v", info, err)
		}
		f.spoil(t)
		g := f.again(t, &logged)
		if d := g.job("", ""); d.By != "hand" {
			t.Errorf("after a restart: %+v\n%s", d, &logged)
		}
		g.write(t, SamplingRule{ID: "mended", Detail: commentator.DetailFull})
		if d := g.job("", ""); d.By != "mended" {
			t.Errorf("after it was mended: %+v", d)
		}
	})
	t.Run("removed", func(t *testing.T) {
		var logged bytes.Buffer
		f := newFlipped(t, nil)
		f.write(t, off)
		if err := os.Remove(f.file); err != nil { // no process has seen the rule
			t.Fatal(err)
		}
		f.job("", "")
		if _, err := os.Lstat(LastSamplingPath(f.file)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what was kept of a file that was removed: %v", err)
		}
		f.spoil(t)
		for _, x := range []*flipped{f, f.again(t, &logged)} {
			if d := x.job("", ""); d.By != commentator.BySettings {
				t.Errorf("%+v", d)
			}
		}
		if !strings.Contains(logged.String(), "what the settings say holds") {
			t.Errorf("logged:\n%s", &logged)
		}
	})
}

// A job starts within a transaction of the database: a file that does not answer at once, or has no
// end, must stop no job.
func TestASamplingFileThatWouldBeWaitedForStopsNoJob(t *testing.T) {
	pipe := func(path string) error { return syscall.Mkfifo(path, 0o600) }
	large := func(path string) error {
		return os.WriteFile(path, append([]byte("rules: []\n#"), bytes.Repeat([]byte("x"), maxSampling)...), 0o600)
	}
	for name, c := range map[string]struct {
		put  func(path string) error
		said string
	}{
		"a pipe":             {pipe, "it is a named pipe; put a file of rules there, or let SAMPLING_FILE name one"},
		"a link to a device": {func(path string) error { return os.Symlink("/dev/zero", path) }, "it is a device; put a file of rules there"},
		"a large file":       {large, "it holds more than the 1 MiB that are read; put a file of rules there, or `commentator tracing reset` writes one"},
	} {
		t.Run(name, func(t *testing.T) {
			var logged bytes.Buffer
			f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
			f.write(t, SamplingRule{ID: "off", Detail: commentator.DetailOff})
			f.job("", "")
			if err := errors.Join(os.Remove(f.file), c.put(f.file)); err != nil {
				t.Fatal(err)
			}
			if d := f.jobAtOnce(t); d.By != "off" {
				t.Errorf("%+v, want what held before", d)
			}
			if n := strings.Count(logged.String(), c.said); n != 1 {
				t.Errorf("%q is logged %d times:\n%s", c.said, n, &logged)
			}
		})
	}
	t.Run("what is kept is a pipe", func(t *testing.T) {
		f := newFlipped(t, nil)
		if err := pipe(LastSamplingPath(f.file)); err != nil {
			t.Fatal(err)
		}
		f.spoil(t)
		if d := f.jobAtOnce(t); d.By != commentator.BySettings {
			t.Errorf("%+v", d)
		}
	})
}

// jobAtOnce is a job that must not wait.
func (f *flipped) jobAtOnce(t *testing.T) commentator.Decision {
	t.Helper()
	decided := make(chan commentator.Decision, 1)
	go func() { decided <- f.job("", "") }()
	select {
	case d := <-decided:
		return d
	case <-time.After(30 * time.Second):
		t.Fatal("the job waits for the sampling file")
		panic("unreachable")
	}
}

// Whatever keeps the copy from being written or removed, jobs are decided as the file says.
func TestASamplingFileThatCannotBeKeptFailsNoJob(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	// root may write everywhere, so a folder stands for what cannot be replaced or removed.
	last := LastSamplingPath(f.file)
	if err := errors.Join(os.Mkdir(last, 0o700), os.WriteFile(filepath.Join(last, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"one", "three"} {
		if err := os.WriteFile(f.file, []byte("rules: [{id: "+id+", detail: off}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if d := f.job("", ""); d.By != id {
			t.Errorf("%+v", d)
		}
	}
	f.spoil(t)
	if d := f.job("", ""); d.By != "three" {
		t.Errorf("while it is broken: %+v", d)
	}
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	if d := f.job("", ""); d.By != commentator.BySettings {
		t.Errorf("after it was removed: %+v", d)
	}
	if n := strings.Count(logged.String(), "what the sampling file holds cannot be kept"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &logged)
	}
	if err := WriteSampling(f.file, Sampling{}); err == nil || !strings.Contains(err.Error(), "the sampling file is written, and not kept") {
		t.Errorf("who writes it is told %v", err)
	}
}

// Which rules a process begins with is no change.
func TestRulesThatChangeAreLogged(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	changes := func(want int) {
		t.Helper()
		f.job("", "")
		if n := strings.Count(logged.String(), "sampling rules changed"); n != want {
			t.Errorf("%d changes are logged, want %d:\n%s", n, want, &logged)
		}
	}
	changes(0)
	rule := SamplingRule{ID: "1", Detail: commentator.DetailOff}
	f.write(t, rule)
	changes(1)
	f.write(t, rule)
	changes(1)
	f.write(t)
	changes(2)
	if d := f.again(t, &logged); d.job("", "").By != commentator.BySettings {
		t.Error("there is a rule")
	}
	changes(2)
}

// Who removes the file while no worker runs has taken its rules back, also when a new file is spoilt
// before any job comes.
func TestASamplingFileThatWasRemovedWhileNobodyRanIsForgotten(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, nil)
	f.write(t, SamplingRule{ID: "off", Detail: commentator.DetailOff})
	f.job("", "")
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	g := f.again(t, &logged)
	if _, err := os.Lstat(LastSamplingPath(f.file)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was kept, after a start: %v", err)
	}
	f.spoil(t)
	if d := g.job("", ""); d.By != commentator.BySettings {
		t.Errorf("%+v\n%s", d, &logged)
	}
}

// Two workers may share a file by links: who takes its link away takes nothing from the other.
func TestWhatIsKeptOfASharedSamplingFileOutlivesALink(t *testing.T) {
	var logged bytes.Buffer
	f := newFlipped(t, nil)
	shared := filepath.Join(t.TempDir(), "shared.yaml")
	if err := errors.Join(os.WriteFile(shared, offByHand, 0o600), os.Symlink(shared, f.file)); err != nil {
		t.Fatal(err)
	}
	f.job("", "")
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	if d := f.job("", ""); d.By != commentator.BySettings {
		t.Errorf("without the link: %+v", d)
	}
	f.spoil(t) // a file of its own, which has nothing to do with the shared one
	if d := f.job("", ""); d.By != commentator.BySettings {
		t.Errorf("with a broken file in its place: %+v", d)
	}
	other := &flipped{file: shared, now: testStart}
	other.spoil(t)
	if d := other.again(t, &logged).job("", ""); d.By != "hand" {
		t.Errorf("the other worker, after a restart: %+v\n%s", d, &logged)
	}
	// The target itself goes: so does what is kept, whoever looks by a link.
	if err := errors.Join(os.Remove(shared), os.Remove(f.file), os.Symlink(shared, f.file)); err != nil {
		t.Fatal(err)
	}
	f.again(t, &logged)
	if _, err := os.Lstat(LastSamplingPath(shared)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was kept of a shared file that was removed: %v", err)
	}
}

// How many jobs a rule has decided is counted when the first job starts: until then other processes,
// such as the worker before this one, decide too.
func TestJobsDecidedByOthersBetweenStartAndFirstJobCount(t *testing.T) {
	var decided int64
	f := newFlipped(t, nil)
	f.write(t, SamplingRule{ID: "a", Detail: commentator.DetailFull, Jobs: 2})
	g := newFlipped(t, func(c *Config) {
		c.Mode, c.SamplingFile = ModeTracking, f.file
		c.Decided = func(string) (int64, error) { return decided, nil }
	})
	decided = 2
	if d := g.job("", ""); d.By != commentator.BySettings {
		t.Errorf("a third job is decided by %+v", d)
	}
}
