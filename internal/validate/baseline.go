package validate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"
)

// Baseline is how long jobs take with telemetry off.
type Baseline struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // of the program that wrote it
	Host    string    `json:"host"`
	CPUs    int       `json:"cpus"`
	Jobs    int       `json:"jobs"`
	Failed  int       `json:"failed"` // of these
	Median  float64   `json:"median_seconds"`
	Seconds []float64 `json:"seconds"` // of each job, sorted
}

// NewBaseline makes a baseline of jobs.
func NewBaseline(jobs []Job, now time.Time, version string) Baseline {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	b := Baseline{Time: now.UTC().Truncate(time.Second), Version: version, Host: host, CPUs: runtime.NumCPU(), Jobs: len(jobs), Seconds: seconds(jobs)}
	for _, j := range jobs {
		if j.Outcome != "success" {
			b.Failed++
		}
	}
	b.Median = median(b.Seconds)
	return b
}

// Write writes the baseline to a file.
func (b Baseline) Write(path string) error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("encode baseline: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write baseline: %w", err)
	}
	return nil
}

// ErrNoBaseline: none was recorded.
var ErrNoBaseline = errors.New("no baseline was recorded; `mlflowctl validate --record` does it, with telemetry off for its own jobs")

// ReadBaseline reads a file that Write wrote.
func ReadBaseline(path string) (Baseline, error) {
	var b Baseline
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("%s: %w", path, ErrNoBaseline)
	}
	if err != nil {
		return b, fmt.Errorf("read baseline: %w", err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("read baseline %s: %w; remove it and record it again", path, err)
	}
	if len(b.Seconds) == 0 || slices.Min(b.Seconds) <= 0 {
		return b, fmt.Errorf("read baseline %s: it holds no durations; remove it and record it again", path)
	}
	return b, nil
}

// Ratio is how much longer jobs take than others: the ratio of the medians, and the interval in
// which it lies with 95 % confidence, by resampling.
type Ratio struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// resamples is how often both sides are drawn anew for the interval.
const resamples = 2000

// NewRatio compares durations, both not empty. The interval is the percentile bootstrap's
// (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13); the same durations give
// the same interval.
func NewRatio(now, before []float64) Ratio {
	draw := rand.New(rand.NewPCG(1, 2)) // repeatable on purpose
	again := func(from []float64) float64 {
		sample := make([]float64, len(from))
		for i := range sample {
			sample[i] = from[draw.IntN(len(from))]
		}
		return median(sample)
	}
	ratios := make([]float64, resamples)
	for i := range ratios {
		ratios[i] = again(now) / again(before)
	}
	slices.Sort(ratios)
	return Ratio{median(now) / median(before), ratios[resamples*25/1000], ratios[resamples*975/1000-1]}
}

// Slower reports whether jobs take longer by more than a bound, and that it is no chance.
func (r Ratio) Slower(bound float64) bool { return r.Value > bound && r.Low > 1 }

func (r Ratio) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", r.Value, r.Low, r.High) }

func seconds(jobs []Job) []float64 {
	out := make([]float64, len(jobs))
	for i, j := range jobs {
		out[i] = j.Seconds
	}
	slices.Sort(out)
	return out
}

// median is the middle of some numbers, NaN of none.
func median(of []float64) float64 {
	if len(of) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
