package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// samplingState is what the sampling file says; its JSON form is a contract.
type samplingState struct {
	File     string   `json:"file"`
	Revision string   `json:"revision,omitempty"` // of what Rules are from; empty: there is no file
	Rules    []string `json:"rules"`
	Problem  string   `json:"problem,omitempty"` // why the file cannot be read
	Kept     string   `json:"kept,omitempty"`    // where Rules are from then; empty: nothing was kept
}

// sampling looks at the sampling file for commands that show what holds.
func (a *app) sampling(ctx context.Context, now time.Time) samplingState {
	out := samplingState{File: a.cfg.SamplingPath(), Rules: []string{}}
	s, revision, err := telemetry.ReadSampling(out.File)
	if err != nil {
		out.Problem = strings.ReplaceAll(strings.ReplaceAll(a.redactor.Text(err.Error()), "\n  ", " "), "\n", "; ")
		if s, revision, err = telemetry.LastSampling(out.File); err != nil {
			out.Problem += "; " + a.redactor.Text(err.Error())
		} else if revision != "" {
			out.Kept = telemetry.LastSamplingPath(out.File)
		}
	}
	decided, unknown := a.decided(ctx, s.Rules)
	out.Revision, out.Rules = revision, append(out.Rules, ruleLines(s.Rules, decided, unknown, now)...)
	return out
}

// lines say it to people, the file first.
func (s samplingState) lines(mode telemetry.Mode) []string {
	effect := ""
	if mode == telemetry.ModeOff && len(s.Rules) > 0 {
		effect = ", without effect while telemetry is off"
	}
	var lines []string
	switch {
	case s.Problem != "" && s.Kept == "":
		return []string{s.Problem, "until then jobs are recorded as a running worker knows from before, else as the settings say"}
	case s.Problem != "":
		lines = []string{s.Problem, fmt.Sprintf("until then holds what was kept of it in %s, revision %s%s", s.Kept, s.Revision, effect)}
		if len(s.Rules) == 0 {
			lines = append(lines, "no rules")
		}
	case len(s.Rules) == 0:
		return []string{"no rules in " + s.File}
	default:
		lines = []string{fmt.Sprintf("%s, revision %s%s; the first rule that fits a job decides", s.File, s.Revision, effect)}
	}
	return append(lines, s.Rules...)
}

// remote is the state of the settings' source of sampling strategies, as a process that asked it noted;
// nil: there is none, or nobody asked.
func (a *app) remote(noted telemetry.RemoteState) *telemetry.RemoteState {
	mode, _ := a.cfg.Mode()
	_, remote, err := telemetry.ResolveSampler(a.cfg.TracesSampler, a.cfg.TracesSamplerArg)
	if mode != telemetry.ModeTracing || err != nil || remote == nil || noted.Endpoint != redact.New(nil).Text(remote.Endpoint) {
		return nil
	}
	noted.Problem = a.redactor.Text(noted.Problem)
	return &noted
}

// noted looks for it in the job database.
func (a *app) noted(ctx context.Context) *telemetry.RemoteState {
	ctx, stop := context.WithTimeout(ctx, lookWait)
	defer stop()
	s, err := store.Glance(ctx, a.cfg.Database())
	if err != nil {
		return nil // the rules are shown without it, too
	}
	defer s.Close()
	held, err := s.Status(ctx)
	if err != nil {
		return nil
	}
	return a.remote(held.Remote)
}

// remoteLine says to people what comes from a source of strategies.
func remoteLine(r telemetry.RemoteState) string {
	since, last := r.Since.Local().Format(time.DateTime), fmt.Sprintf("%s (revision %s)", r.Says, r.Revision)
	switch {
	case r.Problem == "":
		return fmt.Sprintf("%s says since %s: %s", r.Endpoint, since, last)
	case r.Says == "":
		return fmt.Sprintf("%s gives no strategy since %s, and gave none before: %s", r.Endpoint, since, r.Problem)
	}
	return fmt.Sprintf("%s gives no strategy since %s: %s; its last one was: %s", r.Endpoint, since, r.Problem, last)
}

// ruleLines are the rules in words, one a line. unknown says why it is not known how many jobs they
// have decided.
func ruleLines(rules []telemetry.SamplingRule, decided map[string]int64, unknown error, now time.Time) []string {
	var lines []string
	for _, r := range rules {
		state := ""
		switch why := r.FitsNone(); {
		case why != "":
			state = " (fits no job: " + why + ")"
		case r.Over(now, decided[r.ID]):
			state = " (over)"
		case r.Jobs > 0 && unknown != nil:
			state = " (may be over)"
		case r.Jobs > 0:
			state = fmt.Sprintf(" (%d so far)", decided[r.ID])
		}
		lines = append(lines, fmt.Sprintf("%s%s  [%s]", r, state, r.ID))
	}
	return lines
}
