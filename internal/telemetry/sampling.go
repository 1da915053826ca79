package telemetry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/commentator"
)

// Sampling is the content of a sampling file: what is recorded of jobs that start from now
// on, in place of what the settings say. It has an effect only while telemetry is on.
type Sampling struct {
	// Rules are tried in order. The first that fits a job decides; a job that none fits gets
	// what the settings say.
	Rules []SamplingRule `yaml:"rules"`
}

// SamplingRule fits the jobs that all its conditions hold for.
type SamplingRule struct {
	// ID names the rule in decisions; `commentator tracing` gives each rule one of its own.
	ID string `yaml:"id"`
	// Detail is what jobs get that fit: off, tracking or full.
	Detail commentator.Detail `yaml:"detail"`
	// Ratio is the share, 0 to 1, of the jobs that fit which are recorded in full; the others
	// are tracked. The trace id decides. With full only; absent means 1.
	Ratio *float64 `yaml:"ratio,omitempty"`

	// Channel is the Slack channel's id. Empty: any.
	Channel string `yaml:"channel,omitempty"`
	// Domain is the host of the link; hosts below it fit too. Empty: any.
	Domain string `yaml:"domain,omitempty"`
	// Adapter is the name of the adapter that will read the page. Empty: any.
	Adapter string `yaml:"adapter,omitempty"`

	// PerMinute is how many jobs are recorded in full in a minute; further ones are tracked.
	// With full only. 0: no limit.
	PerMinute int `yaml:"per_minute,omitempty"`
	// Jobs is how many jobs the rule decides before it ends. 0: no limit.
	Jobs int64 `yaml:"jobs,omitempty"`
	// Until is when the rule ends. Zero: never.
	Until time.Time `yaml:"until,omitempty"`
}

// MaxSamplingRules bounds a sampling file.
const MaxSamplingRules = 100

// ReadSampling reads a sampling file and its revision, the beginning of its SHA-256. A file
// that does not exist holds no rules and has no revision.
func ReadSampling(path string) (s Sampling, revision string, err error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Sampling{}, "", nil
	}
	if err != nil {
		return Sampling{}, "", fmt.Errorf("read sampling file: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return Sampling{}, "", fmt.Errorf("read sampling file %s: %w; `commentator tracing reset` writes it anew", path, err)
	}
	if err := s.Validate(); err != nil {
		return Sampling{}, "", fmt.Errorf("read sampling file %s: %w", path, err)
	}
	sum := sha256.Sum256(body)
	return s, hex.EncodeToString(sum[:4]), nil
}

// WriteSampling replaces a sampling file in one step: whoever reads it sees the old rules
// or the new ones.
func WriteSampling(path string, s Sampling) (err error) {
	if err := s.Validate(); err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("# Written by `commentator tracing`; it takes effect for jobs that start from now on.\n")
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(s), encoder.Close()); err != nil {
		return fmt.Errorf("encode sampling file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write sampling file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write sampling file: %w", err), os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Validate joins what is wrong with the rules.
func (s Sampling) Validate() error {
	var errs []error
	if len(s.Rules) > MaxSamplingRules {
		errs = append(errs, fmt.Errorf("%d rules are more than the %d that are allowed", len(s.Rules), MaxSamplingRules))
	}
	ids := map[string]bool{}
	for i, r := range s.Rules {
		wrong := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("rule %d: %s", i+1, fmt.Sprintf(format, args...)))
		}
		full := r.Detail == commentator.DetailFull
		switch {
		case r.ID == "":
			wrong("id is missing: give each rule a name of its own")
		case ids[r.ID]:
			wrong("id %q is taken by an earlier rule", r.ID)
		}
		ids[r.ID] = true
		if !slices.Contains([]commentator.Detail{commentator.DetailOff, commentator.DetailTracking, commentator.DetailFull}, r.Detail) {
			wrong("detail %q is none of off, tracking, full", r.Detail)
		}
		if r.Ratio != nil && (!(*r.Ratio >= 0 && *r.Ratio <= 1) || !full) {
			wrong("ratio must be a number from 0 to 1, with detail full")
		}
		if r.PerMinute < 0 || r.PerMinute > 0 && !full {
			wrong("per_minute must be above 0, with detail full")
		}
		if r.Jobs < 0 {
			wrong("jobs %d is negative", r.Jobs)
		}
	}
	return errors.Join(errs...)
}

// String says in words what the rule does.
func (r SamplingRule) String() string {
	var b strings.Builder
	b.WriteString(string(r.Detail))
	add := func(when bool, format string, args ...any) {
		if when {
			fmt.Fprintf(&b, format, args...)
		}
	}
	add(r.Ratio != nil, " for %v of the jobs", r.ratio())
	add(r.PerMinute > 0, ", at most %d a minute", r.PerMinute)
	add(r.Channel != "", ", channel %s", r.Channel)
	add(r.Domain != "", ", domain %s", r.Domain)
	add(r.Adapter != "", ", adapter %s", r.Adapter)
	add(r.Jobs > 0, ", for %d jobs", r.Jobs)
	add(!r.Until.IsZero(), ", until %s", r.Until.UTC().Format(time.RFC3339))
	return b.String()
}

func (r SamplingRule) ratio() float64 {
	if r.Ratio == nil {
		return 1
	}
	return *r.Ratio
}

// sameConditions reports whether two rules fit the same jobs.
func (r SamplingRule) sameConditions(o SamplingRule) bool {
	return r.Channel == o.Channel && r.Domain == o.Domain && r.Adapter == o.Adapter
}

// With returns the rules with r before all others, in place of what had its conditions and
// of what has ended.
func (s Sampling) With(r SamplingRule, now time.Time) Sampling {
	rules := []SamplingRule{r}
	for _, old := range s.Rules {
		if !old.sameConditions(r) && !old.over(now) {
			rules = append(rules, old)
		}
	}
	return Sampling{Rules: rules}
}

func (r SamplingRule) over(now time.Time) bool { return !r.Until.IsZero() && !now.Before(r.Until) }

// fits reports whether the rule's conditions hold for a job.
func (r SamplingRule) fits(j commentator.Job, m commentator.Message, adapter string) bool {
	return (r.Channel == "" || r.Channel == m.Channel) &&
		(r.Domain == "" || j.Domain == r.Domain || strings.HasSuffix(j.Domain, "."+r.Domain)) &&
		(r.Adapter == "" || r.Adapter == adapter)
}
