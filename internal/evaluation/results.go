package evaluation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// SchemaVersion is that of eval_results.json. It grows when a reader of the version before would
// misunderstand a file; fields that are only added leave it as it is.
const SchemaVersion = 1

// ResultsFile is the name of the file under which results are an artifact of their run.
const ResultsFile = "eval_results.json"

// ErrorKind says who is to blame that a try has no scores of a comment.
type ErrorKind string

// The kinds of errors.
const (
	// ErrorNone: a comment was made. Whether it is good is what the scores say.
	ErrorNone ErrorKind = "none"
	// ErrorModel: the model answered, and no comment can be made of the answer. It counts as failed.
	ErrorModel ErrorKind = "model"
	// ErrorInfrastructure: the model was never heard, or the machine failed. It says nothing about
	// the comments and is left out of every rate.
	ErrorInfrastructure ErrorKind = "infrastructure"
)

// Results are what an evaluation came to: eval_results.json.
type Results struct {
	Schema int    `json:"schema_version"` // SchemaVersion
	ID     string `json:"evaluation_id"`  // UUID in lower case
	// TraceID is the trace id of the suite in hex, and so the value of tag otel.key of its run.
	TraceID string     `json:"trace_id"`
	Dataset DatasetRef `json:"dataset"`
	// Analyser is AnalyserOffline, AnalyserCassette or AnalyserLive.
	Analyser string      `json:"analyser"`
	Prompts  []PromptRef `json:"prompts"` // by stage; none with the offline analyser
	Models   []ModelRef  `json:"models"`  // by stage
	// Revision is the git revision of the program, empty when it is not known.
	Revision    string       `json:"git_revision,omitempty"`
	Repetitions int          `json:"repetitions"` // asked for, at least 1
	Scorers     []ScorerInfo `json:"scorers"`     // in the order in which they were applied
	StartedAt   time.Time    `json:"started_at"`  // UTC
	EndedAt     time.Time    `json:"ended_at"`
	// Stopped says why tries are missing, for instance that the cost limit was reached. Empty:
	// all tries are there.
	Stopped string `json:"stopped,omitempty"`
	// Tries are sorted by example, in the order of the dataset, and repetition.
	Tries []Try `json:"tries"`
}

// DatasetRef says which examples an evaluation is about.
type DatasetRef struct {
	Name    string `json:"name"`
	Version string `json:"version"` // as its author calls it
	// Hash identifies the content of the whole dataset, evidence included: SHA-256 in hex.
	// Results of different hashes are comparable only on the examples whose own hash is equal.
	Hash     string `json:"hash"`
	Examples int    `json:"examples"` // examples that were selected, of which each is tried Repetitions times
}

// shownHash is how many hex digits a digest has, as many as those that MLflow's SDK makes.
const shownHash = 8

// Digest tells versions of the dataset apart where people read it.
func (d DatasetRef) Digest() string { return d.Hash[:min(shownHash, len(d.Hash))] }

// PromptRef is a prompt that a stage used.
type PromptRef struct {
	Stage  commentator.Stage `json:"stage"`
	Name   string            `json:"name"`
	SHA256 string            `json:"sha256"` // of its text, hex
}

// ModelRef is a model that a stage used.
type ModelRef struct {
	Stage    commentator.Stage `json:"stage"`
	Provider string            `json:"provider"`
	Model    string            `json:"model"`
}

// ScorerInfo says how to read the scores of one name.
type ScorerInfo struct {
	Name string `json:"name"`
	// Required: a try passes only if this score passes.
	Required bool `json:"required"`
	// YesNo says that the value is 1 or 0 and means yes or no.
	YesNo bool `json:"yes_no,omitempty"`
	// LowerIsBetter holds for latency and cost.
	LowerIsBetter bool   `json:"lower_is_better,omitempty"`
	Judge         string `json:"judge,omitempty"` // the model that judges; empty: no model does
	Unit          string `json:"unit"`            // "1" for shares and yes or no, "s", "USD"
}

// Try is one repetition of one example.
type Try struct {
	Example     string   `json:"example"`
	ExampleHash string   `json:"example_hash"` // SHA-256 of the example and its evidence, hex
	Tags        []string `json:"tags,omitempty"`
	Repetition  int      `json:"repetition"` // 1 to Results.Repetitions
	TraceID     string   `json:"trace_id"`   // hex
	Passed      bool     `json:"passed"`     // no error, and every required score passes
	// Scores has one entry for each scorer that had something to say, in the order of
	// Results.Scorers. It is empty with ErrorInfrastructure.
	Scores []Score   `json:"scores"`
	Error  ErrorKind `json:"error_kind"`
	// Message is the error as a sentence; empty with ErrorNone.
	Message        string            `json:"error,omitempty"`
	LatencySeconds float64           `json:"latency_seconds"` // of both stages
	Tokens         commentator.Usage `json:"tokens"`
	// CostUSD is nil when a model has no price: unknown is not zero.
	CostUSD *float64 `json:"cost_usd"`
}

// Score is the judgement of one scorer.
type Score struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"` // 1 and 0 for yes and no, else in the scorer's unit
	Pass  bool    `json:"pass"`
	// Reason says why, in a sentence; it may be empty when the score passes.
	Reason string `json:"reason,omitempty"`
}

// Score returns the score of a name.
func (t Try) Score(name string) (Score, bool) {
	i := slices.IndexFunc(t.Scores, func(s Score) bool { return s.Name == name })
	if i < 0 {
		return Score{}, false
	}
	return t.Scores[i], true
}

// Counts reports whether the try says anything about the comments.
func (t Try) Counts() bool { return t.Error != ErrorInfrastructure }

// ExampleTries are all tries of one example.
type ExampleTries struct {
	ID    string
	Hash  string
	Tags  []string
	Tries []Try // by repetition
}

// PassRate is the share of counted tries that passed. It reports false when none counts.
func (e ExampleTries) PassRate() (float64, bool) {
	passed, counted := 0, 0
	for _, t := range e.Tries {
		if !t.Counts() {
			continue
		}
		counted++
		if t.Passed {
			passed++
		}
	}
	if counted == 0 {
		return 0, false
	}
	return float64(passed) / float64(counted), true
}

// Mean is the mean of a score over the counted tries that have it. It reports false when none has.
func (e ExampleTries) Mean(scorer string) (float64, bool) {
	sum, n := 0.0, 0
	for _, t := range e.Tries {
		if s, ok := t.Score(scorer); ok && t.Counts() {
			sum += s.Value
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / float64(n), true
}

// ByExample groups the tries, in the order in which the examples appear.
func (r *Results) ByExample() []ExampleTries {
	var out []ExampleTries
	at := map[string]int{}
	for _, t := range r.Tries {
		i, ok := at[t.Example]
		if !ok {
			i = len(out)
			at[t.Example] = i
			out = append(out, ExampleTries{ID: t.Example, Hash: t.ExampleHash, Tags: t.Tags})
		}
		out[i].Tries = append(out[i].Tries, t)
	}
	for i := range out {
		slices.SortStableFunc(out[i].Tries, func(a, b Try) int { return cmp.Compare(a.Repetition, b.Repetition) })
	}
	return out
}

// Summary counts examples. An example passes when every counted try of it passed.
type Summary struct {
	Total    int     // examples that were to be tried
	Passed   int     // of which every counted try passed
	Failed   int     // of which at least one counted try did not
	Unknown  int     // without a counted try
	PassRate float64 // Passed / (Passed + Failed); 0 when nothing counts
	// InfrastructureErrors counts tries that are left out.
	InfrastructureErrors int
	CostUSD              float64 // of the tries whose cost is known
	CostUnknown          int     // tries whose cost is not
}

// Summary counts the examples of the results.
func (r *Results) Summary() Summary {
	s := Summary{Total: r.Dataset.Examples}
	for _, e := range r.ByExample() {
		switch rate, ok := e.PassRate(); {
		case !ok:
		case rate == 1:
			s.Passed++
		default:
			s.Failed++
		}
	}
	s.Unknown = s.Total - s.Passed - s.Failed
	if n := s.Passed + s.Failed; n > 0 {
		s.PassRate = float64(s.Passed) / float64(n)
	}
	for _, t := range r.Tries {
		if !t.Counts() {
			s.InfrastructureErrors++
		}
		if t.CostUSD == nil {
			s.CostUnknown++
		} else {
			s.CostUSD += *t.CostUSD
		}
	}
	return s
}

// ParseResults reads and checks the content of a file.
func ParseResults(text []byte) (*Results, error) {
	var r Results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("this is no %s: %w", ResultsFile, err)
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return &r, nil
}

// Encode returns the content of the file; the same results give the same bytes.
func (r *Results) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode results: %w", err)
	}
	return b.Bytes(), nil
}

// Save writes the file whole or not at all.
func (r *Results) Save(path string) error {
	text, err := r.Encode()
	if err != nil {
		return err
	}
	if err := writeFile(path, text); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
