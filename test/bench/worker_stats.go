//go:build linux

package main

import (
	"math"
	"slices"
)

// z95 is how many standard deviations of a normal distribution its two-sided 95 % are.
const z95 = 1.96

// quantile is the q-quantile of samples with its 95 % bounds, which are samples themselves:
// their ranks come from the binomial distribution, whatever the samples are distributed like.
func quantile(samples []float64, q float64) spread {
	if len(samples) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(samples))
	n := float64(len(v))
	at := func(rank float64) float64 { return v[min(max(int(rank), 0), len(v)-1)] }
	half := z95 * math.Sqrt(n*q*(1-q))
	return spread{Median: at(math.Ceil(n*q) - 1), Least: at(math.Floor(n*q - half - 1)), Most: at(math.Ceil(n*q + half))}
}

// medianBounds is the median of samples with its 95 % bounds.
func medianBounds(samples []float64) spread { return quantile(samples, 0.5) }

// meanBounds is the mean of samples with its 95 % bounds.
func meanBounds(samples []float64) spread {
	if len(samples) == 0 {
		return spread{}
	}
	n, sum, squares := float64(len(samples)), 0.0, 0.0
	for _, v := range samples {
		sum += v
	}
	mean := sum / n
	for _, v := range samples {
		squares += (v - mean) * (v - mean)
	}
	half := math.Inf(1) // one sample says nothing about the others
	if n > 1 {
		half = z95 * math.Sqrt(squares/(n-1)/n)
	}
	return spread{Median: mean, Least: mean - half, Most: mean + half}
}

// geometricBounds is the geometric mean of ratios with its 95 % bounds.
func geometricBounds(ratios []float64) spread {
	logs := make([]float64, len(ratios))
	for i, r := range ratios {
		logs[i] = math.Log(r)
	}
	b := meanBounds(logs)
	return spread{Median: math.Exp(b.Median), Least: math.Exp(b.Least), Most: math.Exp(b.Most)}
}

// paired compares what two kinds of workers did in the same round.
func paired(turns []turn, a, b string, value func(turn) float64, compare func(a, b float64) float64) (out []float64) {
	of := map[int]turn{}
	for _, t := range turns {
		if t.Kind == b {
			of[t.Round] = t
		}
	}
	for _, t := range turns {
		if other, ok := of[t.Round]; ok && t.Kind == a {
			out = append(out, compare(value(t), value(other)))
		}
	}
	return out
}
