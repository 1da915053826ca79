package service

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// distribution is a histogram, explicit or exponential. It never changes once made.
type distribution struct {
	count    uint64
	sum      float64 // NaN: not known
	min, max float64 // of everything the stream ever saw; NaN: not known

	// Explicit: counts[i] is of (bounds[i-1], bounds[i]].
	bounds []float64
	counts []uint64

	// Exponential: bucket i is of (base^i, base^(i+1)] with base = 2^(2^-scale), of the
	// negated values in negative; zero counts what is within zeroWidth of 0.
	exponential        bool
	scale              int32
	zero               uint64
	zeroWidth          float64
	positive, negative map[int32]uint64
}

func explicit(p pmetric.HistogramDataPoint) *distribution {
	return &distribution{
		count: p.Count(), sum: known(p.HasSum(), p.Sum()), min: known(p.HasMin(), p.Min()), max: known(p.HasMax(), p.Max()),
		bounds: p.ExplicitBounds().AsRaw(), counts: p.BucketCounts().AsRaw(),
	}
}

// The scales that SDKs use. With a lower one a bucket has more than all numbers, with a higher one
// less than float64 tells apart.
const (
	minScale = -10
	maxScale = 20
)

// sane reports whether a point's scale and the indices of its buckets are such that one can compute
// with them.
func sane(p pmetric.ExponentialHistogramDataPoint) bool {
	fits := func(b pmetric.ExponentialHistogramDataPointBuckets) bool {
		return int64(b.Offset())+int64(b.BucketCounts().Len()) <= math.MaxInt32
	}
	return p.Scale() >= minScale && p.Scale() <= maxScale && fits(p.Positive()) && fits(p.Negative())
}

func exponential(p pmetric.ExponentialHistogramDataPoint) *distribution {
	return &distribution{
		count: p.Count(), sum: known(p.HasSum(), p.Sum()), min: known(p.HasMin(), p.Min()), max: known(p.HasMax(), p.Max()),
		exponential: true, scale: p.Scale(), zero: p.ZeroCount(), zeroWidth: p.ZeroThreshold(),
		positive: buckets(p.Positive()), negative: buckets(p.Negative()),
	}
}

func known(has bool, value float64) float64 {
	if !has {
		return math.NaN()
	}
	return value
}

func buckets(b pmetric.ExponentialHistogramDataPointBuckets) map[int32]uint64 {
	out := map[int32]uint64{}
	for i, n := range b.BucketCounts().All() {
		if n > 0 {
			out[b.Offset()+int32(i)] = n // an index of a slice of at most a few hundred
		}
	}
	return out
}

// addable reports whether plus and minus have a meaning.
func (d *distribution) addable(o *distribution) bool {
	return d.exponential == o.exponential && slices.Equal(d.bounds, o.bounds) && len(d.counts) == len(o.counts)
}

// plus adds two distributions that are addable.
func (d *distribution) plus(o *distribution) *distribution {
	out, _ := d.combine(o, func(x, y uint64) (uint64, bool) { return x + y, true })
	out.sum, out.min, out.max = d.sum+o.sum, min(d.min, o.min), max(d.max, o.max)
	return out
}

// minus is what came to d since it was o. It reports false when d does not continue o.
func (d *distribution) minus(o *distribution) (*distribution, bool) {
	if !d.addable(o) || (d.exponential && d.scale > o.scale) {
		return nil, false
	}
	out, ok := d.combine(o, func(x, y uint64) (uint64, bool) { return x - y, x >= y })
	out.sum, out.min, out.max = d.sum-o.sum, d.min, d.max
	return out, ok
}

// combine works on all counts.
func (d *distribution) combine(o *distribution, f func(x, y uint64) (uint64, bool)) (*distribution, bool) {
	out := &distribution{bounds: d.bounds, exponential: d.exponential}
	ok := true
	each := func(x, y uint64) uint64 {
		n, fine := f(x, y)
		ok = ok && fine
		return n
	}
	out.count = each(d.count, o.count)
	for i := range d.counts {
		out.counts = append(out.counts, each(d.counts[i], o.counts[i]))
	}
	if d.exponential {
		out.scale, out.zeroWidth = min(d.scale, o.scale), max(d.zeroWidth, o.zeroWidth)
		out.zero = each(d.zero, o.zero)
		both := func(x, y map[int32]uint64) map[int32]uint64 {
			x, y = coarser(x, int64(d.scale)-int64(out.scale)), coarser(y, int64(o.scale)-int64(out.scale))
			sum := map[int32]uint64{}
			for i := range x {
				sum[i] = each(x[i], y[i])
			}
			for i := range y {
				if _, done := x[i]; !done {
					sum[i] = each(0, y[i])
				}
			}
			return sum
		}
		out.positive, out.negative = both(d.positive, o.positive), both(d.negative, o.negative)
	}
	return out, ok
}

// coarser makes one bucket of 2^by.
func coarser(in map[int32]uint64, by int64) map[int32]uint64 {
	if by == 0 {
		return in
	}
	out := map[int32]uint64{}
	for i, n := range in {
		out[i>>min(by, 31)] += n
	}
	return out
}

// each gives the numbers that a histogram is shown as: count, and where they are known
// mean and percentiles, which infinite bounds make infinite or NaN. Nothing observed gives none.
func (d *distribution) each(number func(suffix string, value float64)) {
	if d == nil || d.count == 0 {
		return
	}
	number("/count", float64(d.count))
	if !math.IsNaN(d.sum) {
		number("/mean", d.sum/float64(d.count))
	}
	spans := d.spans()
	if len(spans) == 0 {
		return
	}
	at := func(q float64) float64 { return quantile(spans, q) }
	if d.count == 1 && finite(d.sum) {
		at = func(float64) float64 { return d.sum } // which is the one value
	}
	number("/p50", at(0.50))
	number("/p95", at(0.95))
	number("/p99", at(0.99))
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// span is the values from low to high, of which there are n.
type span struct {
	low, high float64
	n         uint64
	geometric bool // values are spread over the span by their ratio, not by their difference
	endless   bool // it has no lower end, or no upper one: the other end stands for it
}

// quantile is the value below which the share q lies, if the values of each span are
// evenly spread over it.
func quantile(spans []span, q float64) float64 {
	var total, below float64
	for _, s := range spans {
		total += float64(s.n)
	}
	rank := q * total
	for i, s := range spans {
		if below+float64(s.n) < rank && i < len(spans)-1 {
			below += float64(s.n)
			continue
		}
		share := min(max((rank-below)/float64(s.n), 0), 1)
		if s.geometric && s.low != 0 && s.high != 0 {
			return s.low * math.Pow(s.high/s.low, share)
		}
		return s.low + (s.high-s.low)*share
	}
	return math.NaN()
}

// spans are the buckets that hold anything, from the lowest to the highest, no wider than
// the least and greatest value and the sum allow.
func (d *distribution) spans() []span {
	var out []span
	if d.exponential {
		bound := func(i int32) float64 { return math.Exp2(math.Ldexp(float64(i), -int(d.scale))) }
		for _, i := range slices.SortedFunc(maps.Keys(d.negative), func(x, y int32) int { return cmp.Compare(y, x) }) {
			out = append(out, span{low: -bound(i + 1), high: -bound(i), n: d.negative[i], geometric: true})
		}
		out = append(out, span{low: -d.zeroWidth, high: d.zeroWidth, n: d.zero})
		for _, i := range slices.Sorted(maps.Keys(d.positive)) {
			out = append(out, span{low: bound(i), high: bound(i + 1), n: d.positive[i], geometric: true})
		}
	} else if len(d.bounds) > 0 && len(d.counts) == len(d.bounds)+1 {
		for i, n := range d.counts {
			s := span{n: n}
			switch i {
			case 0:
				s.low, s.high, s.endless = min(0, d.bounds[0]), d.bounds[0], d.bounds[0] <= 0
				if !math.IsNaN(d.min) {
					s.low, s.endless = min(d.min, s.high), false
				}
			case len(d.bounds):
				s.low = d.bounds[i-1]
				s.high, s.endless = s.low, true
				if !math.IsNaN(d.max) {
					s.high, s.endless = max(d.max, s.low), false
				}
			default:
				s.low, s.high = d.bounds[i-1], d.bounds[i]
			}
			out = append(out, s)
		}
	}
	out = slices.DeleteFunc(out, func(s span) bool { return s.n == 0 })
	for i := range out {
		out[i].low, out[i].high = d.clamp(out[i].low), d.clamp(out[i].high)
	}
	d.narrow(out)
	return out
}

// narrow makes spans no wider than the sum allows: no value is greater than the sum without the least that
// the others can be, nor less than the sum without the most. Few values in wide buckets are told far from
// what they were otherwise.
func (d *distribution) narrow(spans []span) {
	var least, most float64 // that the sum can be
	var n uint64
	up, down := true, true
	for i, s := range spans {
		n += s.n
		least += float64(s.n) * s.low
		most += float64(s.n) * s.high
		if s.endless && i == 0 && s.high <= 0 {
			up = false
		} else if s.endless {
			down = false
		}
	}
	if n != d.count || !finite(d.sum) {
		return
	}
	// A sum that the spans do not allow: values are negative in a bucket that was taken to begin at 0, or it
	// belongs to others. One that is out only because sums are rounded still says where the values are.
	rounding := 1e-9 * (most - least)
	up = up && d.sum >= least-rounding
	down = down && d.sum <= most+rounding
	above, below := max(0, d.sum-least), max(0, most-d.sum) // a value can be over its span's low, and under its high
	for i, s := range spans {
		if up && finite(least) {
			spans[i].high = min(s.high, s.low+above)
		}
		if down && finite(most) {
			spans[i].low = min(max(s.low, s.high-below), spans[i].high)
		}
	}
}

// clamp moves a bound of a bucket to the least or greatest value.
func (d *distribution) clamp(bound float64) float64 {
	if !math.IsNaN(d.min) {
		bound = max(bound, d.min)
	}
	if !math.IsNaN(d.max) {
		bound = min(bound, d.max)
	}
	return bound
}
