package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/retrieval"
	"github.com/technoshare/commentator/internal/telemetry"
)

// rule makes a rule of the flags. Its id is up to the caller.
func (c *tracingCommand) rule(now time.Time) (r telemetry.SamplingRule, err error) {
	switch c.What {
	case "off", "tracking", "full":
		r.Detail = commentator.Detail(c.What)
	default:
		ratio, err := strconv.ParseFloat(c.What, 64)
		if err != nil {
			return r, fmt.Errorf("tracing %s: want off, tracking, full, a share from 0 to 1, show, reset or why JOB", c.What)
		}
		if !(ratio >= 0 && ratio <= 1) {
			return r, noShare(c.What)
		}
		r.Detail, r.Ratio = commentator.DetailFull, &ratio
	}
	var errs []error
	if c.For != nil {
		if *c.For < time.Second {
			errs = append(errs, fmt.Errorf("--for %v: want at least 1s; without --for the rule does not end", *c.For))
		}
		r.Until = now.Add(*c.For + time.Second - 1).UTC().Truncate(time.Second) // not before --for has passed
	}
	if c.Jobs != nil {
		if *c.Jobs <= 0 {
			errs = append(errs, fmt.Errorf("--jobs %d: want a number above 0; without --jobs the rule does not end", *c.Jobs))
		}
		r.Jobs = *c.Jobs
	}
	if c.PerMinute != nil {
		if *c.PerMinute <= 0 {
			errs = append(errs, fmt.Errorf("--per-minute %d: want a number above 0; `tracing tracking` records no job in full", *c.PerMinute))
		}
		if r.Detail != commentator.DetailFull {
			errs = append(errs, fmt.Errorf("--per-minute goes with full or a share, such as commentator tracing full --per-minute %d; %s records no job in full", max(1, *c.PerMinute), c.What))
		}
		r.PerMinute = *c.PerMinute
	}
	for _, condition := range []struct {
		given *string
		read  func(string) (string, error)
		to    *string
	}{{c.Domain, ruleDomain, &r.Domain}, {c.Channel, ruleChannel, &r.Channel}, {c.Adapter, ruleAdapter, &r.Adapter}} {
		if condition.given != nil {
			*condition.to, err = condition.read(*condition.given)
			errs = append(errs, err)
		}
	}
	return r, errors.Join(errs...)
}

// ruleDomain reads a host. A rule with anything else would fit no job.
func ruleDomain(given string) (string, error) {
	host, ok := telemetry.RuleHost(strings.TrimSpace(given))
	if ok {
		return host, nil
	}
	address := host
	if !strings.Contains(host, "://") {
		address = "//" + host
	}
	meant := "arxiv.org"
	if u, err := url.Parse(address); err == nil {
		if inside, ok := telemetry.RuleHost(strings.TrimPrefix(u.Hostname(), "*.")); ok {
			meant = inside
		}
	}
	return "", fmt.Errorf("--domain %q is no host: write it without scheme, port and path, such as --domain %s; hosts below it fit too", given, meant)
}

// channelOfJobs is what jobs have for a channel: Slack's id of one, or the name that
// `commentator replay` and `mlflowctl validate` give.
var channelOfJobs = regexp.MustCompile(`^([A-Z][A-Z0-9]+|replay)$`)

func ruleChannel(given string) (string, error) {
	if !channelOfJobs.MatchString(given) {
		return "", fmt.Errorf("--channel %q is no id: write one such as --channel C0123456789; Slack shows it at the bottom of the channel's details", given)
	}
	return given, nil
}

// ruleAdapter reads the name of an adapter, or its short form in the rules for domains.
func ruleAdapter(given string) (string, error) {
	for _, name := range retrieval.AdapterNames {
		if strings.EqualFold(given, name) || strings.EqualFold(given+"Adapter", name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("--adapter %q is not known: want one of %s", given, strings.Join(retrieval.AdapterNames, ", "))
}

func noShare(given string) error {
	return fmt.Errorf("tracing %s: %s is not a share from 0 to 1", given, given)
}

// refuseNegativeShare names a share, or a job, below 0, which otherwise passes for a flag.
func refuseNegativeShare(args []string) error {
	if len(args) == 0 || args[0] != "tracing" {
		return nil
	}
	for i, arg := range args[1:] {
		if _, err := strconv.ParseFloat(arg, 64); err == nil && strings.HasPrefix(arg, "-") && !strings.HasPrefix(args[i], "-") {
			if args[i] == "why" {
				return fmt.Errorf("tracing why %s: no job has such an id; `commentator jobs list` shows their ids", arg)
			}
			return noShare(arg)
		}
	}
	return nil
}
