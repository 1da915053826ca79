package validate

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func jobs(outcome string, seconds ...float64) []Job {
	var out []Job
	for i, s := range seconds {
		out = append(out, Job{ID: int64(i + 1), Outcome: outcome, Seconds: s, Detail: "full"})
	}
	return out
}

func TestBaselineComesBackFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.json")
	if _, err := ReadBaseline(path); !errors.Is(err, ErrNoBaseline) {
		t.Errorf("without a file: %v", err)
	}
	at := time.Date(2026, 11, 26, 6, 0, 0, 5, time.UTC)
	b := NewBaseline(append(jobs("success", 0.3, 0.1), jobs("error", 0.2)...), at, "v1")
	if b.Median != 0.2 || b.Failed != 1 || b.Jobs != 3 || b.CPUs < 1 || b.Host == "" {
		t.Errorf("baseline %+v", b)
	}
	if err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadBaseline(path)
	if err != nil || got.Median != b.Median || !slices.Equal(got.Seconds, []float64{0.1, 0.2, 0.3}) || !got.Time.Equal(at.Truncate(time.Second)) {
		t.Errorf("read %+v, %v", got, err)
	}
	for _, text := range []string{"{", "{}", `{"seconds":[0,1]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadBaseline(path); err == nil || !strings.Contains(err.Error(), "record it again") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRatioTellsASlowdownFromChance(t *testing.T) {
	noisy := []float64{0.9, 0.95, 1, 1, 1, 1.05, 1.1, 1, 0.97, 1.03}
	times := func(f float64) []float64 {
		var out []float64
		for _, s := range noisy {
			out = append(out, f*s)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		now    []float64
		slower bool
	}{
		{"the same", noisy, false},
		{"a tenth longer is within the bound", times(1.1), false},
		{"half as long again", times(1.5), true},
		{"faster", times(0.5), false},
		{"one slow job among many", append([]float64{9}, noisy...), false},
		{"two jobs that differ widely", []float64{0.2, 2.9}, false},
	} {
		r := NewRatio(c.now, noisy)
		if r.Slower(1.25) != c.slower || r.Low > r.Value || r.High < r.Value {
			t.Errorf("%s: %s is slower: %v", c.name, r, r.Slower(1.25))
		}
		if again := NewRatio(c.now, noisy); again != r {
			t.Errorf("%s: the same figures give %s and %s", c.name, r, again)
		}
	}
}
