package samplingextension

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// The kinds of a strategy in the file.
const (
	probabilistic = "probabilistic"
	rateLimiting  = "ratelimiting"
)

// strategies is the content of the file, as Jaeger documents it.
type strategies struct {
	Default  strategy          `json:"default_strategy"`
	Services []serviceStrategy `json:"service_strategies"`
}

type strategy struct {
	Type string `json:"type"` // probabilistic or ratelimiting
	// Param is the share of traces, 0 to 1, or how many of them in a second.
	Param      float64             `json:"param"`
	Operations []operationStrategy `json:"operation_strategies,omitempty"`
}

type serviceStrategy struct {
	Service string `json:"service"`
	strategy
}

type operationStrategy struct {
	Operation string  `json:"operation"`
	Type      string  `json:"type"` // probabilistic
	Param     float64 `json:"param"`
}

func (s strategies) validate() error {
	errs := []error{s.Default.validate("default_strategy")}
	for i, one := range s.Services {
		at := fmt.Sprintf("service_strategies[%d]", i)
		if one.Service == "" {
			errs = append(errs, fmt.Errorf("%s: service is missing", at))
		}
		errs = append(errs, one.validate(at))
	}
	return errors.Join(errs...)
}

func (s strategy) validate(at string) error {
	var errs []error
	switch {
	case s.Type != probabilistic && s.Type != rateLimiting:
		errs = append(errs, fmt.Errorf("%s: type %q is neither probabilistic nor ratelimiting", at, s.Type))
	case s.Type == probabilistic && !(s.Param >= 0 && s.Param <= 1):
		errs = append(errs, fmt.Errorf("%s: param %v is not a share from 0 to 1", at, s.Param))
	case s.Type == rateLimiting && (s.Param < 0 || s.Param != float64(int32(s.Param))):
		errs = append(errs, fmt.Errorf("%s: param %v is not a whole number of traces a second", at, s.Param))
	case s.Type == rateLimiting && len(s.Operations) > 0:
		errs = append(errs, fmt.Errorf("%s: operation_strategies go with type probabilistic", at))
	}
	for i, o := range s.Operations {
		if o.Operation == "" || o.Type != probabilistic || !(o.Param >= 0 && o.Param <= 1) {
			errs = append(errs, fmt.Errorf("%s.operation_strategies[%d]: needs an operation, type probabilistic and a param from 0 to 1", at, i))
		}
	}
	return errors.Join(errs...)
}

// of answers for a service: with its own strategy, or else the default one.
func (s strategies) of(service string) answer {
	for _, one := range s.Services {
		if one.Service == service {
			return one.answer(s.Default)
		}
	}
	return s.Default.answer(s.Default)
}

// answer is a strategy as it goes over HTTP.
type answer struct {
	Type          string              `json:"strategyType"`
	Probabilistic *probabilisticPart  `json:"probabilisticSampling,omitempty"`
	RateLimiting  *rateLimitingPart   `json:"rateLimitingSampling,omitempty"`
	Operations    *operationsStrategy `json:"operationSampling,omitempty"`
}

type probabilisticPart struct {
	Rate float64 `json:"samplingRate"`
}

type rateLimitingPart struct {
	PerSecond int32 `json:"maxTracesPerSecond"`
}

type operationsStrategy struct {
	Default      float64         `json:"defaultSamplingProbability"`
	PerOperation []operationPart `json:"perOperationStrategies"`
}

type operationPart struct {
	Operation     string            `json:"operation"`
	Probabilistic probabilisticPart `json:"probabilisticSampling"`
}

// answer is what a service with this strategy is told. As with Jaeger, the operations of the
// default strategy hold for it too, unless it names them itself; also when it is rate-limiting.
func (s strategy) answer(standard strategy) answer {
	out := answer{Type: "PROBABILISTIC", Probabilistic: &probabilisticPart{s.Param}}
	others := s.Param
	if s.Type == rateLimiting {
		out = answer{Type: "RATE_LIMITING", RateLimiting: &rateLimitingPart{int32(s.Param)}}
		others = standard.Param
	}
	operations := s.operations(standard.Operations)
	if len(operations) == 0 {
		return out
	}
	out.Probabilistic = nil // clients take the first part that they find
	out.Operations = &operationsStrategy{Default: others}
	for _, o := range operations {
		out.Operations.PerOperation = append(out.Operations.PerOperation, operationPart{o.Operation, probabilisticPart{o.Param}})
	}
	return out
}

// operations are those of the strategy, and of the shared ones those that it does not name.
func (s strategy) operations(shared []operationStrategy) []operationStrategy {
	all := slices.Clone(s.Operations)
	for _, o := range shared {
		if !slices.ContainsFunc(s.Operations, func(own operationStrategy) bool { return own.Operation == o.Operation }) {
			all = append(all, o)
		}
	}
	return all
}

// file holds the strategies of a file and reads it again when it is another one.
type file struct {
	path string

	mu   sync.Mutex
	seen os.FileInfo
	held strategies
}

// read gives what the file says. With an error it gives what it said before.
func (f *file) read() (strategies, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return f.held, fmt.Errorf("read strategies: %w", err)
	}
	if f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return f.held, nil
	}
	body, err := os.ReadFile(f.path)
	if err != nil {
		return f.held, fmt.Errorf("read strategies: %w", err)
	}
	var s strategies
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return f.held, fmt.Errorf("read strategies %s: %w", f.path, err)
	}
	if err := s.validate(); err != nil {
		return f.held, fmt.Errorf("read strategies %s: %w", f.path, err)
	}
	f.seen, f.held = info, s
	return s, nil
}
