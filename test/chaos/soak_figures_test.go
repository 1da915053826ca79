//go:build linux

package main

import (
	"math"
	"testing"
)

// samplesOf alternates around a value, so that an interval has some width.
func samplesOf(n int, around, noise float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = around + noise*math.Sin(float64(i))
	}
	return v
}

func TestAVerdictNeedsMoreThanNoise(t *testing.T) {
	for _, c := range []struct {
		name           string
		while, outside []float64
		want           string
	}{
		{"the same", samplesOf(60, 10, 0.2), samplesOf(12, 10, 0.2), met},
		{"a fifth more", samplesOf(60, 12, 0.2), samplesOf(12, 10, 0.2), notMet},
		{"lost in noise", samplesOf(60, 10.6, 4), samplesOf(12, 10, 4), notShown},
		{"nothing to compare with", samplesOf(60, 10, 0.2), nil, notShown},
	} {
		g := atMost(c.name, ratioOf(c.while, c.outside), 1.05)
		if g.Verdict != c.want {
			t.Errorf("%s: %s, want %s (%+v)", c.name, g.Verdict, c.want, g.Figure)
		}
	}
}

// A machine that becomes slower makes both slower: that shows nothing of the outage.
func TestAControlHasTheSameWeather(t *testing.T) {
	for name, c := range map[string]struct {
		slower float64
		want   string
	}{"the same": {1, met}, "a fifth more": {1.2, notMet}} {
		var control, windows []window
		for i := range 60 {
			weather := 8 * (1 + float64(i)/30 + math.Abs(math.Sin(float64(i*i)))/10)
			control = append(control, window{Phase: away, Seconds: float64(5 * i), P50: weather, P99: 2 * weather})
			windows = append(windows, window{Phase: away, Seconds: float64(5 * i), P50: c.slower * weather, P99: 2 * c.slower * weather})
		}
		// Other phases, and windows that only one of them has, count for nothing.
		control = append(control, window{Phase: before, Seconds: 500, P50: 1, P99: 1}, window{Phase: away, Seconds: 505, P50: 1, P99: 1})
		windows = append(windows, window{Phase: before, Seconds: 500, P50: 90, P99: 90}, window{Phase: away, Seconds: 510, P50: 90, P99: 90})
		for _, g := range lasting("", control, windows) {
			if g.Verdict != c.want {
				t.Errorf("%s: %s is %s, want %s (%+v)", name, g.Name, g.Verdict, c.want, g.Figure)
			}
		}
	}
	if g := lasting("", nil, []window{{Phase: away, Seconds: 5, P50: 1, P99: 1}})[0]; g.Verdict != notShown {
		t.Errorf("without a control: %+v", g)
	}
}

func TestGrowthIsFound(t *testing.T) {
	var flat, leak []memory
	for i := range 100 {
		flat = append(flat, memory{Phase: away, MB: 30 + math.Sin(float64(i))})
		leak = append(leak, memory{Phase: away, MB: 30 + float64(i)/10})
		flat = append(flat, memory{Phase: after, MB: 90}) // not the outage's
	}
	if g := atMost("", growth(flat), 1.1); g.Verdict != met {
		t.Errorf("a flat one: %+v", g)
	}
	if g := atMost("", growth(leak), 1.1); g.Verdict != notMet {
		t.Errorf("a leak: %+v", g)
	}
}

func TestWindowsAreOfOnePhase(t *testing.T) {
	got := windowsOf([]took{{before, 1, 5}, {before, 2, 7}, {before, 9, 6}, {away, 11, 8}, {away, 9.5, 4}}, 10)
	if len(got) != 3 || got[0].Phase != before || got[0].Jobs != 3 || got[0].P50 != 6 || got[1].Phase != away || got[2].Seconds != 10 {
		t.Errorf("windows %+v", got)
	}
}
