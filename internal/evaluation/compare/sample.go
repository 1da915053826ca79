package compare

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/technoshare/commentator/internal/evaluation"
)

// Format names the form of a baseline file.
const Format = "eval-baseline/1"

// Sample is what an evaluation came to, as far as comparing needs it. As a file it is a baseline,
// small enough for git.
type Sample struct {
	Format       string                 `json:"format"` // Format
	EvaluationID string                 `json:"evaluation_id"`
	EndedAt      time.Time              `json:"ended_at"`
	Revision     string                 `json:"git_revision,omitempty"`
	Analyser     string                 `json:"analyser"`
	Dataset      evaluation.DatasetRef  `json:"dataset"`
	Prompts      []evaluation.PromptRef `json:"prompts"`
	Models       []evaluation.ModelRef  `json:"models"`
	Repetitions  int                    `json:"repetitions"`
	// Stopped says why tries are missing; empty: all are there.
	Stopped string `json:"stopped,omitempty"`
	// Examples are sorted by id.
	Examples []Example `json:"examples"`
}

// Example is what became of the repetitions of one example.
type Example struct {
	ID   string   `json:"id"`
	Hash string   `json:"hash"` // of the example and its evidence
	Tags []string `json:"tags,omitempty"`
	// Passed of Counted tries passed; Lost ones ended in infrastructure errors and say nothing.
	Passed  int `json:"passed"`
	Counted int `json:"counted"`
	Lost    int `json:"lost,omitempty"`
	// Scorers has the counts of each scorer that had something to say.
	Scorers map[string]Count `json:"scorers,omitempty"`
	// LatencySeconds and CostUSD are means of the counted tries; CostUSD is nil when the cost of one
	// of them is not known.
	LatencySeconds float64  `json:"latency_seconds"`
	CostUSD        *float64 `json:"cost_usd"`
}

// Count is how many judgements were favourable: [passed, all].
type Count [2]int

// Share is the share of favourable ones; there has to be one judgement.
func (c Count) Share() float64 { return float64(c[0]) / float64(c[1]) }

// Rate is the share of counted tries that passed; one has to count.
func (e Example) Rate() float64 { return float64(e.Passed) / float64(e.Counted) }

// FromResults reduces results.
func FromResults(r *evaluation.Results) *Sample {
	s := &Sample{
		Format: Format, EvaluationID: r.ID, EndedAt: r.EndedAt, Revision: r.Revision, Analyser: r.Analyser, Dataset: r.Dataset,
		Prompts: r.Prompts, Models: r.Models, Repetitions: r.Repetitions, Stopped: r.Stopped,
	}
	for _, e := range r.ByExample() {
		s.Examples = append(s.Examples, reduce(e))
	}
	slices.SortFunc(s.Examples, func(a, b Example) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func reduce(e evaluation.ExampleTries) Example {
	out := Example{ID: e.ID, Hash: e.Hash, Tags: e.Tags, Scorers: map[string]Count{}}
	cost, known := 0.0, true
	for _, t := range e.Tries {
		if !t.Counts() {
			out.Lost++
			continue
		}
		out.Counted++
		if t.Passed {
			out.Passed++
		}
		for _, score := range t.Scores {
			c := out.Scorers[score.Name]
			c[1]++
			if score.Pass {
				c[0]++
			}
			out.Scorers[score.Name] = c
		}
		out.LatencySeconds += t.LatencySeconds
		if t.CostUSD == nil {
			known = false
		} else {
			cost += *t.CostUSD
		}
	}
	if out.Counted > 0 {
		out.LatencySeconds = rounded(out.LatencySeconds / float64(out.Counted))
		if known {
			cost = rounded(cost / float64(out.Counted))
			out.CostUSD = &cost
		}
	}
	return out
}

// rounded keeps microseconds and millionths of a dollar, so that a baseline is easy to read.
func rounded(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// Validate joins everything that is wrong with a baseline, each naming where.
func (s *Sample) Validate() error {
	if s.Format != Format {
		return fmt.Errorf("format is %q and this program reads %q: write the baseline again with `commentator eval baseline`", s.Format, Format)
	}
	var errs []error
	if s.Dataset.Name == "" {
		errs = append(errs, errors.New("dataset.name is empty"))
	}
	if s.Repetitions < 1 {
		errs = append(errs, fmt.Errorf("repetitions is %d; at least 1 is needed", s.Repetitions))
	}
	if len(s.Examples) == 0 {
		errs = append(errs, errors.New("there are no examples"))
	}
	seen := map[string]bool{}
	for i, e := range s.Examples {
		if e.ID == "" || e.Hash == "" || seen[e.ID] {
			errs = append(errs, fmt.Errorf("examples[%d]: id %q or its hash is empty, or the id is there twice", i, e.ID))
		}
		seen[e.ID] = true
		if e.Passed < 0 || e.Passed > e.Counted || e.Lost < 0 || e.Counted+e.Lost > s.Repetitions {
			errs = append(errs, fmt.Errorf("examples[%d] (%s): %d passed of %d counted and %d lost, with %d repetitions", i, e.ID, e.Passed, e.Counted, e.Lost, s.Repetitions))
		}
		for name, c := range e.Scorers {
			if c[0] < 0 || c[0] > c[1] {
				errs = append(errs, fmt.Errorf("examples[%d] (%s): scorer %s passed %d of %d", i, e.ID, name, c[0], c[1]))
			}
		}
	}
	return errors.Join(errs...)
}

// Load reads a baseline, or eval_results.json, and checks it.
func Load(path string) (*Sample, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s; `commentator eval run` writes results, `commentator eval baseline RESULTS --out FILE` makes a baseline of them", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read sample: %w", err)
	}
	s, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// Parse reads the content of either file.
func Parse(text []byte) (*Sample, error) {
	var probe struct {
		Format string `json:"format"`
		Schema *int   `json:"schema_version"`
	}
	if err := json.Unmarshal(text, &probe); err != nil {
		return nil, fmt.Errorf("this is neither a baseline nor %s: %w", evaluation.ResultsFile, err)
	}
	switch {
	case probe.Schema != nil:
		r, err := evaluation.ParseResults(text)
		if err != nil {
			return nil, err
		}
		return FromResults(r), nil
	case probe.Format == "":
		return nil, fmt.Errorf("this is neither a baseline nor %s: it has neither `format` nor `schema_version`", evaluation.ResultsFile)
	}
	var s Sample
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("this is no baseline: %w", err)
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	slices.SortFunc(s.Examples, func(a, b Example) int { return cmp.Compare(a.ID, b.ID) })
	return &s, nil
}

// Encode returns the content of a baseline: the same sample gives the same bytes, and each example
// is one line, so that git shows which changed.
func (s *Sample) Encode() ([]byte, error) {
	head := *s
	head.Examples, head.Prompts = []Example{}, append([]evaluation.PromptRef{}, s.Prompts...)
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode baseline: %w", err)
	}
	const empty = "\"examples\": []\n}"
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(text, []byte(empty)))
	b.WriteString("\"examples\": [")
	for i, e := range s.Examples {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode baseline: %w", err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
	}
	b.WriteString("\n  ]\n}\n")
	return b.Bytes(), nil
}
