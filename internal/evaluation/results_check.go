package evaluation

import (
	"errors"
	"fmt"
	"math"
	"regexp"
)

// The analysers.
const (
	AnalyserOffline  = "offline"  // sentences of the page, no model
	AnalyserCassette = "cassette" // recorded answers of models
	AnalyserLive     = "live"     // models
)

var (
	hexHash  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	hexTrace = regexp.MustCompile(`^[0-9a-f]{32}$`)
	uuidText = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// Validate joins everything that is wrong with the results, each naming where.
func (r *Results) Validate() error {
	if r.Schema != SchemaVersion {
		return fmt.Errorf("schema_version is %d and this program reads %d: use the program that wrote the file, or run the evaluation again", r.Schema, SchemaVersion)
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !uuidText.MatchString(r.ID) {
		bad("evaluation_id %q is no UUID in lower case", r.ID)
	}
	if !hexTrace.MatchString(r.TraceID) {
		bad("trace_id %q is not 32 hexadecimal digits", r.TraceID)
	}
	if r.Dataset.Name == "" {
		bad("dataset.name is empty")
	}
	if !hexHash.MatchString(r.Dataset.Hash) {
		bad("dataset.hash %q is no SHA-256 in hexadecimal", r.Dataset.Hash)
	}
	switch r.Analyser {
	case AnalyserOffline, AnalyserCassette, AnalyserLive:
	default:
		bad("analyser %q is none of %s, %s, %s", r.Analyser, AnalyserOffline, AnalyserCassette, AnalyserLive)
	}
	for i, p := range r.Prompts {
		if p.Name == "" || !hexHash.MatchString(p.SHA256) {
			bad("prompts[%d] lacks a name or a SHA-256", i)
		}
	}
	if r.Repetitions < 1 {
		bad("repetitions is %d; at least 1 is needed", r.Repetitions)
	}
	if r.EndedAt.Before(r.StartedAt) {
		bad("ended_at is before started_at")
	}
	errs = append(errs, r.validateTries()...)
	return errors.Join(errs...)
}

func (r *Results) validateTries() (errs []error) {
	required := map[string]bool{}
	for i, s := range r.Scorers {
		if _, twice := required[s.Name]; twice || s.Name == "" {
			errs = append(errs, fmt.Errorf("scorers[%d]: name %q is empty or there twice", i, s.Name))
		}
		required[s.Name] = s.Required
	}
	type key struct {
		example    string
		repetition int
	}
	seen, hashes := map[key]bool{}, map[string]string{}
	for i, t := range r.Tries {
		at := fmt.Sprintf("tries[%d] (example %q, repetition %d)", i, t.Example, t.Repetition)
		k := key{t.Example, t.Repetition}
		if seen[k] {
			errs = append(errs, fmt.Errorf("%s is there twice", at))
		}
		seen[k] = true
		if h, ok := hashes[t.Example]; ok && h != t.ExampleHash {
			errs = append(errs, fmt.Errorf("%s: example_hash is not that of the other repetitions", at))
		}
		hashes[t.Example] = t.ExampleHash
		if t.Repetition < 1 || t.Repetition > r.Repetitions {
			errs = append(errs, fmt.Errorf("%s: repetition is not within 1 to %d", at, r.Repetitions))
		}
		if err := t.validate(required); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
	}
	if len(hashes) > r.Dataset.Examples {
		errs = append(errs, fmt.Errorf("there are tries of %d examples and dataset.examples is %d", len(hashes), r.Dataset.Examples))
	}
	if n := r.Dataset.Examples * r.Repetitions; r.Stopped == "" && len(r.Tries) < n {
		errs = append(errs, fmt.Errorf("there are %d tries of %d, and `stopped` does not say why", len(r.Tries), n))
	}
	return errs
}

// validate checks a try; required tells of each known scorer whether it must pass.
func (t Try) validate(required map[string]bool) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if t.Example == "" {
		bad("the example has no id")
	}
	if !hexHash.MatchString(t.ExampleHash) {
		bad("example_hash %q is no SHA-256 in hexadecimal", t.ExampleHash)
	}
	if !hexTrace.MatchString(t.TraceID) {
		bad("trace_id %q is not 32 hexadecimal digits", t.TraceID)
	}
	if bad64(t.LatencySeconds) {
		bad("latency_seconds is %v", t.LatencySeconds)
	}
	if t.CostUSD != nil && bad64(*t.CostUSD) {
		bad("cost_usd is %v", *t.CostUSD)
	}
	seen := map[string]bool{}
	passed := t.Error == ErrorNone
	for _, s := range t.Scores {
		must, known := required[s.Name]
		if !known {
			bad("score %q is of no scorer in `scorers`", s.Name)
		}
		if seen[s.Name] {
			bad("score %q is there twice", s.Name)
		}
		seen[s.Name] = true
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			bad("score %q is %v", s.Name, s.Value)
		}
		passed = passed && (s.Pass || !must)
	}
	switch t.Error {
	case ErrorNone:
	case ErrorModel:
	case ErrorInfrastructure:
		if len(t.Scores) > 0 {
			bad("error_kind is %s, so there can be no scores", t.Error)
		}
	default:
		bad("error_kind %q is none of %s, %s, %s", t.Error, ErrorNone, ErrorModel, ErrorInfrastructure)
	}
	if t.Passed != passed {
		bad("passed is %v, which its scores and error_kind contradict", t.Passed)
	}
	return errors.Join(errs...)
}

// bad64 reports whether a number cannot be a time or a sum of money.
func bad64(f float64) bool { return math.IsNaN(f) || math.IsInf(f, 0) || f < 0 }
