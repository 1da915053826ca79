package compare

import "github.com/technoshare/commentator/internal/evaluation/stats"

// recommendedPower is how often a drop of the minimum effect shall be found.
const recommendedPower = 0.80

// Audit is what the gate does on unchanged comments: `eval aa`.
type Audit struct {
	Config      Config `json:"config"`
	Examples    int    `json:"examples"`
	Repetitions int    `json:"repetitions"`
	// Unchanged are simulated comparisons of unchanged comments, FalseFail the share of FAIL among
	// them. Its interval and that of PassShare are Wilson's at 95 %.
	Unchanged         Tally          `json:"unchanged"`
	FalseFail         float64        `json:"false_fail"`
	FalseFailInterval stats.Interval `json:"false_fail_interval"`
	PassShare         float64        `json:"pass_share"`
	PassShareInterval stats.Interval `json:"pass_share_interval"`
	// Dropped are comparisons after a change that breaks as many examples as the minimum effect, and
	// spares the others; Power is the share of FAIL among them, Missed that of PASS.
	Dropped Tally   `json:"dropped"`
	Power   float64 `json:"power"`
	Missed  float64 `json:"missed"`
	// Recommended is how many examples find that change with a power of 0.80. 0: the pass rate is too
	// low to drop by the minimum effect.
	Recommended int `json:"recommended_examples"`
	// Real are the comparisons of the given results with each other, in their order.
	Real []RealPair `json:"real,omitempty"`
}

// RealPair is a comparison of two results of unchanged comments.
type RealPair struct {
	Base    string  `json:"baseline"` // evaluation ids
	Cand    string  `json:"candidate"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
}

// AA measures how the gate judges comments like those of the samples, which are of one dataset and
// unchanged comments.
func AA(samples []*Sample, cfg Config, runs int) (*Audit, error) {
	population, err := Like(samples...)
	if err != nil {
		return nil, err
	}
	sim := Simulation{
		Population: population, Effect: Unchanged, Examples: len(samples[0].Examples), Repetitions: samples[0].Repetitions, Runs: runs, Config: cfg,
	}
	a := &Audit{Config: cfg, Examples: sim.Examples, Repetitions: sim.Repetitions, Unchanged: sim.Run(cfg.Seed)}
	a.FalseFail, a.FalseFailInterval = a.Unchanged.Share(a.Unchanged.Fail)
	a.PassShare, a.PassShareInterval = a.Unchanged.Share(a.Unchanged.Pass)
	if n, mean := sim.Recommend(recommendedPower, cfg.Seed); n > 0 {
		a.Recommended = n
		sim.Effect = Breaks(cfg.MinEffect / mean)
		a.Dropped = sim.Run(cfg.Seed + 1)
		a.Power, _ = a.Dropped.Share(a.Dropped.Fail)
		a.Missed, _ = a.Dropped.Share(a.Dropped.Pass)
	}
	for i, base := range samples {
		for _, cand := range samples[i+1:] {
			r := Compare(base, cand, cfg)
			a.Real = append(a.Real, RealPair{base.EvaluationID, cand.EvaluationID, r.Verdict, r.Reasons[0]})
		}
	}
	return a, nil
}
