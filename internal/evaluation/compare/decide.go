package compare

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// finding is what one of the questions comes to.
type finding struct {
	verdict Verdict
	reason  string // empty: nothing to say
	more    int    // examples that would make it certain
}

// rounding is how far a sum of thirds may be from what it is: 96 of 120 tries are 0.80.
const rounding = 1e-9

// decide sets verdict, reasons and how many examples more would decide. What was not tried can
// hide anything, so that too much of it leaves everything else open.
func (r *Result) decide(differences []float64, units []int64) {
	lost, level, drop := r.judgeLosses(), r.judgeLevel(), r.judgeDrop(differences, units)
	findings := []finding{drop, level}
	if level.verdict != Pass && drop.verdict != Fail {
		findings = []finding{level, drop} // what decided comes first
	}
	r.Verdict = Pass
	for _, v := range []Verdict{Inconclusive, Fail} {
		if drop.verdict == v || level.verdict == v {
			r.Verdict = v
		}
	}
	if r.Verdict == Inconclusive {
		r.More = max(drop.more, level.more)
	}
	if lost.reason != "" {
		r.Verdict, r.More, findings = Inconclusive, 0, append([]finding{lost}, findings...)
	}
	for _, f := range findings {
		if f.reason != "" {
			r.Reasons = append(r.Reasons, f.reason)
		}
	}
}

// judgeLosses asks whether enough was tried to say anything.
func (r *Result) judgeLosses() finding {
	for _, s := range []struct {
		name string
		side Side
	}{{"candidate", r.Cand}, {"baseline", r.Base}} {
		if s.side.Tries == 0 {
			continue
		}
		if gone := s.side.Lost + s.side.Missing; float64(gone) > r.Config.MaxLost*float64(s.side.Tries) {
			reason := fmt.Sprintf("Of the %s's %d tries %d say nothing, more than %.0f %%: %d ended in infrastructure errors, %d were not made",
				s.name, s.side.Tries, gone, 100*r.Config.MaxLost, s.side.Lost, s.side.Missing)
			if s.side.Stopped != "" {
				reason += " (" + s.side.Stopped + ")"
			}
			return finding{verdict: Inconclusive, reason: reason + ". Repeat the evaluation when the model answers."}
		}
	}
	return finding{verdict: Pass}
}

// judgeLevel compares the candidate with the threshold.
func (r *Result) judgeLevel() finding {
	threshold, c := r.Config.Threshold, r.Cand
	if threshold == 0 || c.Examples == 0 {
		return finding{verdict: Pass}
	}
	rate := fmt.Sprintf("The pass rate is %s (95 %%: %s to %s)", percent(c.Rate), percent(c.Interval.Low), percent(c.Interval.High))
	switch {
	case c.Rate >= threshold-rounding:
		return finding{verdict: Pass, reason: fmt.Sprintf("%s; at least %s is asked for.", rate, percent(threshold))}
	case c.Interval.High < threshold:
		return finding{verdict: Fail, reason: fmt.Sprintf("%s, below the threshold of %s.", rate, percent(threshold))}
	}
	n := c.Examples
	for stats.Wilson(c.Rate*float64(n), n, rateLevel).High >= threshold && n < maxExamples {
		n += 1 + n/100
	}
	reason := fmt.Sprintf("%s: below the threshold of %s, but so few examples cannot rule out that it is above.", rate, percent(threshold))
	return finding{Inconclusive, reason, n - c.Examples}
}

// maxExamples bounds what is said of how many would decide; nobody makes more.
const maxExamples = 100_000

// judgeDrop asks whether the pass rate dropped.
//
// It did when both the sign flips and the bootstrap say so, and the bootstrap does not rule out
// that the drop reaches the minimum effect. It did not, as far as it matters, when the bootstrap
// rules that out, and there are enough examples for such a drop to have touched one.
func (r *Result) judgeDrop(differences []float64, units []int64) finding {
	least := stats.Untouched(r.Config.MinEffect, untouchedMiss)
	if r.Pairs == 0 {
		return finding{Inconclusive, "There is no example that both sides say something about.", least}
	}
	small := r.Interval.Low > -r.Config.MinEffect+rounding
	real := r.Interval.High < -rounding && r.P <= r.Config.Alpha
	change := fmt.Sprintf("%s points over %d examples in pairs (%.0f %%: %s to %s; %d worse, %d better)",
		points(r.Difference), r.Pairs, 100*(1-2*r.Config.Alpha), points(r.Interval.Low), points(r.Interval.High), r.Worsened, r.Improved)
	effect := fmt.Sprintf("%.3g points", 100*r.Config.MinEffect)
	switch {
	case real && !small:
		return finding{verdict: Fail, reason: fmt.Sprintf("The pass rate dropped: %s; chance alone gives such a drop with p = %.2g.", change, r.P)}
	case small && r.Pairs < least:
		const few = "No drop of %s is seen: %s. But so few examples can all be spared by a change that breaks such a share of the links; at least %d are needed."
		return finding{Inconclusive, fmt.Sprintf(few, effect, change, least), least - r.Pairs}
	case small && real:
		return finding{verdict: Pass, reason: fmt.Sprintf("The pass rate dropped by less than %s: %s.", effect, change)}
	case small:
		return finding{verdict: Pass, reason: fmt.Sprintf("No drop of %s: %s.", effect, change)}
	}
	reason := fmt.Sprintf("A drop of %s is neither shown nor ruled out: %s.", effect, change)
	return finding{Inconclusive, reason, r.moreForDrop(differences, units)}
}

// manyExamples is from where on the normal distribution takes the place of the exact test.
const manyExamples = 1000

// moreForDrop is how many examples would lead to a verdict if they are like these: mean and
// variance stay, and so does how often which difference comes up.
func (r *Result) moreForDrop(differences []float64, units []int64) int {
	z, least := stats.Normal(1-r.Config.Alpha), stats.Untouched(r.Config.MinEffect, untouchedMiss)
	deviation := math.Sqrt(stats.Variance(differences))
	rng := rand.New(rand.NewPCG(r.Config.Seed, 1))
	for n := r.Pairs + 1; n < maxExamples; n += 1 + n/50 {
		half := z * deviation / math.Sqrt(float64(n))
		small := r.Difference-half > -r.Config.MinEffect
		real := r.Difference+half < 0 && (n > manyExamples || stats.SignFlip(grown(units, n), rng) <= r.Config.Alpha)
		if small && n >= least || real && !small {
			return n - r.Pairs
		}
	}
	return maxExamples
}

// grown are n values that are distributed like the given ones, which are sorted.
func grown(sorted []int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = sorted[i*len(sorted)/n]
	}
	return out
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func points(difference float64) string { return fmt.Sprintf("%+.1f", 100*difference) }
