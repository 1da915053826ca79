package telemetry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
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
	// Domain is the host of the link; hosts below it fit too. One of another script may be written
	// as it is or in ASCII, see RuleHost. Empty: any. Of a file that people wrote it may be no host,
	// see FitsNone.
	Domain string `yaml:"domain,omitempty"`
	// Adapter is the name of the adapter that will read the page. Empty: any.
	Adapter string `yaml:"adapter,omitempty"`

	// PerMinute is how many jobs are recorded in full in any minute; further ones are tracked.
	// With full only. Each worker counts its own, from its start. 0: no limit.
	PerMinute int `yaml:"per_minute,omitempty"`
	// Jobs is how many jobs the rule decides before it ends. 0: no limit.
	Jobs int64 `yaml:"jobs,omitempty"`
	// Until is when the rule ends. Zero: never.
	Until time.Time `yaml:"until,omitempty"`
}

// MaxSamplingRules bounds a sampling file.
const MaxSamplingRules = 100

// Validate joins what is wrong with the rules.
func (s Sampling) Validate() error {
	errs := []error{s.usable()}
	for i, r := range s.Rules {
		if why := r.FitsNone(); why != "" {
			errs = append(errs, fmt.Errorf("rule %d: %s", i+1, why))
		}
	}
	return errors.Join(errs...)
}

// usable joins what makes rules unusable: a rule that only fits no job is none of it.
func (s Sampling) usable() error {
	var errs []error
	if len(s.Rules) > MaxSamplingRules {
		errs = append(errs, fmt.Errorf("%d rules are more than the %d that are allowed; `commentator tracing reset` removes all", len(s.Rules), MaxSamplingRules))
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
		case r.ID == commentator.BySettings || r.ID == commentator.ByRemote:
			wrong("id %q is what decisions say that no rule took: give the rule another one", r.ID)
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

// FitsNone says why the rule fits no job; empty: it may fit some. `commentator tracing` writes none
// such. Of a file that people, or older releases, wrote it leaves the other rules in force.
func (r SamplingRule) FitsNone() string {
	if _, isHost := RuleHost(r.Domain); r.Domain == "" || isHost {
		return ""
	}
	return fmt.Sprintf("domain %q is no host: write it without scheme, port, path and *, such as arxiv.org; hosts below it fit too", r.Domain)
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
	if r.Ratio != nil {
		b.Reset()
		b.WriteString(FullFor(r.ratio()))
	}
	add(r.PerMinute > 0, ", at most %d a minute", r.PerMinute)
	add(r.Channel != "", ", channel %s", r.Channel)
	add(r.Domain != "", ", domain %s", r.Domain)
	add(r.Adapter != "", ", adapter %s", r.Adapter)
	add(r.Jobs > 0, ", for %s", counted.Of(r.Jobs, "job"))
	add(!r.Until.IsZero(), ", until %s", r.Until.UTC().Format(time.RFC3339))
	return b.String()
}

// FullFor says in words what share of jobs, 0 to 1, is recorded in full.
func FullFor(ratio float64) string {
	switch ratio {
	case 0:
		return "full for none of the jobs"
	case 1:
		return "full for all jobs"
	}
	return fmt.Sprintf("full for a share of %v of the jobs", ratio)
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

// With returns the rules with r before all others. What is over or fits no job goes, and so does what
// r takes the place of, the rules with its conditions; but one that never ends stays below an r that
// does, to hold again after it. decided is how many jobs rules have decided, as far as that is
// known.
func (s Sampling) With(r SamplingRule, now time.Time, decided map[string]int64) Sampling {
	rules := []SamplingRule{r}
	for _, old := range s.Rules {
		replaced := old.sameConditions(r) && (old.ends() || !r.ends())
		if !replaced && !old.Over(now, decided[old.ID]) && old.FitsNone() == "" {
			rules = append(rules, old)
		}
	}
	return Sampling{Rules: rules}
}

// ends reports whether the rule ends by itself.
func (r SamplingRule) ends() bool { return !r.Until.IsZero() || r.Jobs > 0 }

// Over reports whether the rule has ended, when it has decided so many jobs.
func (r SamplingRule) Over(now time.Time, decided int64) bool {
	return (!r.Until.IsZero() && !now.Before(r.Until)) || (r.Jobs > 0 && decided >= r.Jobs)
}

// fits reports whether the rule's conditions hold for a job of a host, see RuleHost.
func (r SamplingRule) fits(host string, m commentator.Message, adapter string) bool {
	return (r.Channel == "" || r.Channel == m.Channel) &&
		(r.Domain == "" || host == r.Domain || strings.HasSuffix(host, "."+r.Domain)) &&
		(r.Adapter == "" || r.Adapter == adapter)
}
