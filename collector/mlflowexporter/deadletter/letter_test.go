package deadletter

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func spans(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "test")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName(name)
	s.Attributes().PutEmptyBytes("content").FromRaw([]byte{0, 1, 0xff})
	return td
}

func write(t *testing.T, dir, name string, refused ...Refusal) {
	t.Helper()
	if err := Write(dir, name, refused, spans(name), noon); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// only reads the letter of a directory that holds one.
func only(t *testing.T, dir string) Letter {
	t.Helper()
	names := files(t, dir)
	if len(names) != 1 {
		t.Fatalf("the directory holds %v", names)
	}
	letter, err := read(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	return letter
}

func TestALetterHoldsWhatCameAndWhyItWasRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for it")
	run, file := Refusal{"run", "job_1", "HTTP 400"}, Refusal{"artifact", "stage_a/x", "HTTP 413"}
	write(t, dir, "a", run)
	write(t, dir, "a", run, file) // the same message, of which more is refused
	marked := spans("a")
	marked.ResourceSpans().At(0).Resource().Attributes().PutStr(wire.ResRepair, wire.RepairAgain)
	if err := Write(dir, "a", []Refusal{run}, marked, noon); err != nil { // and again when it was replayed
		t.Fatal(err)
	}
	letter := only(t, dir)
	if diff := cmp.Diff([]Refusal{run, file}, letter.Refused); diff != "" || letter.TraceID != "a" || !letter.Time.Equal(noon) {
		t.Errorf("got %+v\n%s", letter, diff)
	}
	got, err := letter.Spans()
	if err != nil {
		t.Fatal(err)
	}
	want := spans("a")
	want.ResourceSpans().At(0).Resource().Attributes().PutStr(wire.ResRepair, wire.RepairAgain)
	diff := cmp.Diff(want.ResourceSpans().At(0).Resource().Attributes().AsRaw(), got.ResourceSpans().At(0).Resource().Attributes().AsRaw())
	diff += cmp.Diff(attributes(want), attributes(got))
	if diff != "" {
		t.Errorf("spans differ:\n%s", diff)
	}
}

// A letter of a message that brings deleted runs back does so when it is sent again, under the name of
// the letter of the same spans.
func TestALetterKeepsWhatItsMessageAskedFor(t *testing.T) {
	dir := t.TempDir()
	asked := func(letter Letter) string {
		t.Helper()
		td, err := letter.Spans()
		if err != nil {
			t.Fatal(err)
		}
		mark, _ := td.ResourceSpans().At(0).Resource().Attributes().Get(wire.ResRepair)
		return mark.AsString()
	}
	for i, c := range []struct{ mark, want string }{
		{"", wire.RepairAgain},
		{wire.RepairAgain, wire.RepairAgain},
		{wire.RepairRecreate, wire.RepairRecreate},
		{wire.RepairAgain, wire.RepairRecreate},
		{"", wire.RepairRecreate},
	} {
		td := spans("a")
		if c.mark != "" {
			td.ResourceSpans().At(0).Resource().Attributes().PutStr(wire.ResRepair, c.mark)
		}
		if err := Write(dir, "a", nil, td, noon); err != nil {
			t.Fatal(err)
		}
		letter := only(t, dir)
		if got := asked(letter); got != c.want {
			t.Errorf("letter %d, of a message that asks for %q, asks for %q, want %q", i, c.mark, got, c.want)
		}
	}
}

func attributes(td ptrace.Traces) map[string]any {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
}

// A letter that a replay has in hand counts once, as does one that was written again
// meanwhile; what is no letter does not count.
func TestCount(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not made yet")
	for _, c := range []struct {
		files []string
		want  int
	}{
		{nil, 0},
		{[]string{"a.json", "b.json" + sending, "b.json", "c.json" + sending, ".tmp-1", "notes.txt"}, 3},
	} {
		for _, name := range c.files {
			if err := writeFile(filepath.Join(dir, name), nil); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := Count(dir); n != c.want || err != nil {
			t.Errorf("%v: %d, %v, want %d", c.files, n, err, c.want)
		}
	}
	if _, err := Count(filepath.Join(dir, "a.json")); err == nil {
		t.Error("a file is taken for a directory")
	}
}

// replayed replays a directory and collects the results.
func replayed(t *testing.T, dir string, send func(context.Context, ptrace.Traces) error) (results []Result, err error) {
	t.Helper()
	err = Replay(t.Context(), dir, send, func(r Result) { results = append(results, r) })
	return results, err
}

// What became of a letter is told before the next one is read, and nobody keeps its spans.
func TestReplayTellsOfEachLetterAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", Refusal{"run", "job_1", "HTTP 400"})
	write(t, dir, "b", Refusal{"run", "job_2", "HTTP 400"})
	sent, told := 0, 0
	err := Replay(t.Context(), dir, func(context.Context, ptrace.Traces) error {
		if sent != told {
			t.Errorf("told of %d letters when %d were sent", told, sent)
		}
		sent++
		return nil
	}, func(r Result) {
		told++
		if len(r.Letter.Refused) != 1 || r.Letter.OTLP != nil {
			t.Errorf("told of %+v", r.Letter)
		}
	})
	if err != nil || told != 2 {
		t.Errorf("told of %d letters, %v", told, err)
	}
}

// What is taken is removed, what is not stays, and what nobody can read is reported.
func TestReplayKeepsWhatIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "good")
	write(t, dir, "bad")
	if err := os.WriteFile(filepath.Join(dir, "broken.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("queue is full")
	results, err := replayed(t, dir, func(_ context.Context, td ptrace.Traces) error {
		if td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name() == "bad" {
			return refused
		}
		return nil
	})
	if err != nil || len(results) != 3 {
		t.Fatalf("got %v, %v", results, err)
	}
	for _, r := range results {
		_, gone := os.Stat(filepath.Join(dir, r.File))
		if (r.Err == nil) != (gone != nil) {
			t.Errorf("%s: %v, file: %v", r.File, r.Err, gone)
		}
		if r.Letter.TraceID == "bad" && !errors.Is(r.Err, refused) {
			t.Errorf("bad: %v", r.Err)
		}
	}
	if n := len(files(t, dir)); n != 3 {
		t.Errorf("%d files are left: %v", n, files(t, dir))
	}
}

// What is no letter stays as it is, and people are told what it seems to be.
func TestReplaySaysOfWhatIsNoLetterWhatItIs(t *testing.T) {
	for text, want := range map[string]string{
		`{"hello":1}`:          "x.json is not a dead letter: it has no `otlp`",
		`{"trace_id":"aa"}`:    "is not a dead letter: it has no `otlp`",
		`{"otlp":null}`:        "is not a dead letter: it has no `otlp`",
		`{"resourceSpans":[]}`: "is not a dead letter: it is OTLP itself: send it with an OTLP client, or look at it with plan",
		`[]`:                   "is not a dead letter: it is no JSON object, but array",
		`{"trace_id":1}`:       "is not a dead letter: `trace_id` must not be number",
		`{"time":"2026"}`:      "is not a dead letter: `time` must be one such as 2026-11-24T12:00:00Z",
		`{"otlp":`:             "is not a dead letter: it is no JSON, or cut off",
		``:                     "is not a dead letter: it is no JSON, or cut off",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		results, err := replayed(t, dir, func(context.Context, ptrace.Traces) error { t.Error("sent"); return nil })
		if err != nil || len(results) != 1 || results[0].Err == nil || !strings.Contains(results[0].Err.Error(), want) {
			t.Errorf("%s: %v, %v", text, results, err)
		}
		if diff := cmp.Diff([]string{"x.json"}, files(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}

// A replay that was killed while it sent, or before it removed the file, is taken up by the
// next one; what the bridge writes while it is sent survives.
func TestReplayGoesOnAfterAKill(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a")
	name := files(t, dir)[0]
	if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+sending)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	results, err := replayed(t, dir, func(context.Context, ptrace.Traces) error {
		sent++
		write(t, dir, "a", Refusal{"run", "job_1", "again"})
		return nil
	})
	if err != nil || sent != 1 || len(results) != 1 || results[0].Err != nil || results[0].File != name {
		t.Errorf("got %+v, %v, sent %d", results, err, sent)
	}
	if left := files(t, dir); len(left) != 1 || left[0] != name {
		t.Errorf("left: %v", left)
	}
}
