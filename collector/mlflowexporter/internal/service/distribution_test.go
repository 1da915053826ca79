package service

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

// exponentialOf is the histogram of some values, as an SDK would make it.
func exponentialOf(scale int32, values []float64) *distribution {
	p := pmetric.NewExponentialHistogramDataPoint()
	p.SetScale(scale)
	index := func(v float64) int32 {
		return int32(math.Ceil(math.Ldexp(math.Log2(math.Abs(v)), int(scale)))) - 1
	}
	fill := func(b pmetric.ExponentialHistogramDataPointBuckets, in []float64) {
		if len(in) == 0 {
			return
		}
		low, high := int32(math.MaxInt32), int32(math.MinInt32)
		for _, v := range in {
			low, high = min(low, index(v)), max(high, index(v))
		}
		counts := make([]uint64, high-low+1)
		for _, v := range in {
			counts[index(v)-low]++
		}
		b.SetOffset(low)
		b.BucketCounts().FromRaw(counts)
	}
	var positive, negative []float64
	for _, v := range values {
		p.SetSum(p.Sum() + v)
		switch {
		case v > 0:
			positive = append(positive, v)
		case v < 0:
			negative = append(negative, v)
		default:
			p.SetZeroCount(p.ZeroCount() + 1)
		}
	}
	fill(p.Positive(), positive)
	fill(p.Negative(), negative)
	p.SetCount(uint64(len(values)))
	return exponential(p)
}

func numbers(d *distribution) map[string]float64 {
	out := map[string]float64{}
	d.each(func(suffix string, value float64) { out[suffix] = value })
	return out
}

// The percentiles of an exponential histogram are as exact as its buckets are narrow, also
// of a difference between points of different scale.
func TestPercentilesAreWithinABucketOfTheTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var before, after []float64
	for range 1000 {
		before = append(before, math.Exp(r.NormFloat64()))
	}
	for range 5000 {
		after = append(after, math.Exp(r.NormFloat64()-1))
	}
	for _, scales := range [][2]int32{{5, 5}, {6, 4}, {3, 0}} {
		d, ok := exponentialOf(scales[1], slices.Concat(before, after)).minus(exponentialOf(scales[0], before))
		if !ok {
			t.Fatal("the second continues the first")
		}
		got := numbers(d)
		sorted := slices.Sorted(slices.Values(after))
		base := math.Exp2(math.Exp2(-float64(scales[1])))
		for suffix, q := range map[string]float64{"/p50": 0.5, "/p95": 0.95, "/p99": 0.99} {
			want := sorted[int(q*float64(len(sorted)))-1]
			if ratio := got[suffix] / want; ratio > base || ratio < 1/base {
				t.Errorf("scales %v, %s: %g, want %g within the factor %g", scales, suffix, got[suffix], want, base)
			}
		}
		if got["/count"] != 5000 {
			t.Errorf("count %g", got["/count"])
		}
	}
}

func TestExponentialHistogramsHoldNegativeAndZero(t *testing.T) {
	got := numbers(exponentialOf(3, []float64{-8, -4, 0, 0, 0, 0, 0, 0, 4, 8}))
	if got["/p50"] != 0 || got["/mean"] != 0 || got["/p99"] < 7 || got["/p99"] > 8 {
		t.Errorf("got %v", got)
	}
	coarse := exponentialOf(0, []float64{1.5, 3})
	fine := exponentialOf(4, []float64{5})
	if sum := coarse.plus(fine); sum.scale != 0 || sum.count != 3 || sum.positive[2] != 1 {
		t.Errorf("sum is %+v", sum)
	}
	if _, ok := exponentialOf(4, []float64{1.5, 3, 5}).minus(coarse); ok {
		t.Error("a histogram never becomes finer, also with what the one before has")
	}
}

func TestExplicitHistogramsUseLeastAndGreatest(t *testing.T) {
	p := pmetric.NewHistogramDataPoint()
	p.ExplicitBounds().FromRaw([]float64{10, 20})
	p.BucketCounts().FromRaw([]uint64{1, 0, 1})
	p.SetCount(2)
	p.SetMin(8)
	p.SetMax(100)
	got := numbers(explicit(p))
	if _, ok := got["/mean"]; ok {
		t.Error("a mean without a sum")
	}
	if got["/p50"] != 10 || got["/p95"] != 20+0.9*80 {
		t.Errorf("got %v", got)
	}
	p.ExplicitBounds().FromRaw(nil)
	p.BucketCounts().FromRaw([]uint64{2})
	if got := numbers(explicit(p)); len(got) != 1 || got["/count"] != 2 {
		t.Errorf("without buckets: %v", got)
	}
}

// One value is the mean and all percentiles, also where no bucket ends above it.
func TestPercentilesOfOneValueAreTheValue(t *testing.T) {
	for bucket, value := range []float64{0.5, 1.5, 3, 9} {
		p := pmetric.NewHistogramDataPoint()
		p.ExplicitBounds().FromRaw([]float64{1, 2, 4})
		counts := make([]uint64, 4)
		counts[bucket] = 1
		p.BucketCounts().FromRaw(counts)
		p.SetCount(1)
		p.SetSum(value)
		for _, d := range []*distribution{explicit(p), exponentialOf(0, []float64{value})} {
			want := map[string]float64{"/count": 1, "/mean": value, "/p50": value, "/p95": value, "/p99": value}
			if got := numbers(d); !maps.Equal(got, want) {
				t.Errorf("of %g there is %v", value, got)
			}
		}
	}
}

// Few values in wide buckets: no percentile is where the sum allows none of them to be.
func TestPercentilesAreWhatTheSumAllows(t *testing.T) {
	bounds := []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0.001, 10), 1, 12).Draw(t, "values")
		p := pmetric.NewHistogramDataPoint()
		p.ExplicitBounds().FromRaw(bounds)
		counts := make([]uint64, len(bounds)+1)
		var sum, least, most float64
		for _, v := range values {
			i, _ := slices.BinarySearch(bounds, v)
			counts[i]++
			sum += v
			if i > 0 {
				least += bounds[i-1]
			}
			most += bounds[i]
		}
		p.BucketCounts().FromRaw(counts)
		p.SetCount(uint64(len(values)))
		p.SetSum(sum)
		if rapid.Bool().Draw(t, "min and max") {
			p.SetMin(slices.Min(values))
			p.SetMax(slices.Max(values))
		}
		first, _ := slices.BinarySearch(bounds, slices.Min(values))
		last, _ := slices.BinarySearch(bounds, slices.Max(values))
		edge := func(i int) float64 { // the lower one of a bucket
			if i == 0 {
				return 0
			}
			return bounds[i-1]
		}
		const exact = 1e-9 // sums are rounded
		lowest := max(edge(first), bounds[first]-(most-sum)) - exact
		highest := min(bounds[last], edge(last)+sum-least) + exact
		for _, d := range []*distribution{explicit(p), exponentialOf(2, values)} {
			got := numbers(d)
			p50, p95, p99 := got["/p50"], got["/p95"], got["/p99"]
			if p50 > p95+exact || p95 > p99+exact {
				t.Fatalf("not in order: %v", got)
			}
			if len(values) == 1 && (p50 != values[0] || p99 != values[0]) {
				t.Fatalf("of one value: %v", got)
			}
			if d.exponential {
				continue // its buckets have other edges
			}
			if p50 < lowest || p99 > highest {
				t.Fatalf("%v; want them from %g to %g", got, lowest, highest)
			}
		}
	})
}

// A bucket without an end allows any value, whatever the sum is, and a sum that does not belong to the
// counts says nothing. Without a least value the first bucket has no end: one that ends above 0 is taken to
// begin there, unless the sum says otherwise.
func TestSumsThatBoundNothing(t *testing.T) {
	for name, c := range map[string]struct {
		bounds   []float64
		counts   []uint64
		count    uint64
		sum, p99 float64
	}{
		"below the first bound":  {[]float64{-10, 10}, []uint64{1, 1, 0}, 2, -990, 9.6},
		"above the last bound":   {[]float64{1, 2}, []uint64{0, 1, 1}, 2, 100, 2},
		"of more than there are": {[]float64{1, 2}, []uint64{0, 2, 0}, 5, 7, 1.99},
		"negative":               {[]float64{1, 2}, []uint64{2, 0, 0}, 2, -3, 0.99},
		"negative and positive":  {[]float64{1, 2}, []uint64{1, 1, 0}, 2, -50, 1.98},
		"up to 0":                {[]float64{0, 5, 10}, []uint64{1, 1, 0, 0}, 2, -97, 4.9},
		"up to 0, sum above it":  {[]float64{0, 5, 10}, []uint64{1, 1, 0, 0}, 2, 1.9, 1.9 + 0.98*3.1},
		"out by rounding":        {[]float64{1, 2, 4}, []uint64{0, 1, 1, 0}, 2, 3 - 1e-12, 2}, // which says that they are at the bottom
		"more than the buckets":  {[]float64{1, 2}, []uint64{0, 2, 0}, 2, 40, 1.99},
	} {
		p := pmetric.NewHistogramDataPoint()
		p.ExplicitBounds().FromRaw(c.bounds)
		p.BucketCounts().FromRaw(c.counts)
		p.SetCount(c.count)
		p.SetSum(c.sum)
		got := numbers(explicit(p))
		if math.Abs(got["/p99"]-c.p99) > 1e-9 || got["/p50"] > got["/p99"] {
			t.Errorf("%s: %v, want p99 %g", name, got, c.p99)
		}
	}
}
