//go:build linux

package main

import (
	"math"
	"slices"
)

// z95 is how many standard deviations of a normal distribution its two-sided 95 % are.
const z95 = 1.96

// beyond is how much of the distribution may lie on either side of the bounds.
const beyond = 0.025

// quantile is the q-quantile of samples with its 95 % bounds, which are samples themselves:
// their ranks come from the binomial distribution, whatever the samples are distributed like. Where
// there are too few samples for a rank, nothing is known: that bound is infinite. The median has bounds
// from six samples on, the 99th percentile from 368.
func quantile(samples []float64, q float64) spread {
	if len(samples) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(samples))
	n := len(v)
	s := spread{Median: v[max(int(math.Ceil(float64(n)*q))-1, 0)], Least: math.Inf(-1), Most: math.Inf(1)}
	// The k-th sample is above the quantile when fewer than k are below it, and below it when k or more are.
	for k, sum := 1, chance(n, 0, q); k <= n && sum <= beyond; k++ {
		s.Least = v[k-1]
		sum += chance(n, k, q)
	}
	for k, sum := n, chance(n, n, q); k >= 1 && sum <= beyond; k-- {
		s.Most = v[k-1]
		sum += chance(n, k-1, q)
	}
	return s
}

// chance is that of k hits in n draws that hit with probability q.
func chance(n, k int, q float64) float64 {
	of := func(n int) float64 { l, _ := math.Lgamma(float64(n + 1)); return l }
	return math.Exp(of(n) - of(k) - of(n-k) + float64(k)*math.Log(q) + float64(n-k)*math.Log1p(-q))
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
