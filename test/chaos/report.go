//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/reconcile"
)

// result is what chaos.json holds.
type result struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Seed     uint64    `json:"seed"`
	Jobs     int       `json:"jobs"`

	Kills       map[victim]int `json:"kills"`         // that count, by program
	Counted     int            `json:"kills_counted"` // together
	Uncounted   int            `json:"kills_uncounted"`
	DoubleKills int            `json:"double_kills"` // of a Collector whose queue was not back yet
	Fills       int            `json:"disk_fills"`

	Lost        int      `json:"lost"`
	Doubled     int      `json:"doubled"`
	Wrong       int      `json:"wrong"`
	Findings    findings `json:"findings"`
	Input       []string `json:"input"`        // what is wrong with the jobs of the inputs
	DeadLetters []string `json:"dead_letters"` // what the Collector gave up
	Refused     int      `json:"messages_refused"`
	Trouble     []string `json:"trouble"` // programs that ended by themselves, time that ran out
	// Relieved is set when the programs without a fault have delivered what was left after that.
	Relieved bool `json:"relieved,omitempty"`

	Compared compared       `json:"compared"`
	Known    known          `json:"known"`
	Outcomes map[string]int `json:"outcomes"` // jobs by outcome
	Attempts int            `json:"attempts"` // at all jobs together

	Seconds        float64       `json:"seconds"`
	DeliverSeconds float64       `json:"deliver_seconds"` // from the last kill until all was delivered
	Events         map[event]int `json:"events"`
	Log            []act         `json:"log"`
}

// findings are what was lost, doubled or is wrong, with the ids.
type findings struct {
	Lost    []reconcile.Finding `json:"lost,omitempty"`
	Doubled []reconcile.Finding `json:"doubled,omitempty"`
	Wrong   []reconcile.Finding `json:"wrong,omitempty"`
}

// compared is how much the judge looked at.
type compared struct {
	Runs      int `json:"runs"`
	Artifacts int `json:"artifacts"`
	Traces    int `json:"traces"`
	Spans     int `json:"spans"`
	Moments   int `json:"moments"` // of the job database, compared with itself
}

// passed reports whether nothing is wrong.
func (r result) passed() bool {
	return r.Lost+r.Doubled+r.Wrong+len(r.Input)+len(r.DeadLetters)+len(r.Trouble)+r.Refused == 0
}

// siegeOf kills, judges, and gives the result; an error means that it could not be judged.
func siegeOf(ctx context.Context, o options, dir string) (result, error) {
	random := rand.New(rand.NewPCG(o.seed, 0))
	r := result{Time: time.Now().UTC(), Revision: revision(o.top), Seed: o.seed}
	s, err := newSiege(o, dir)
	if err != nil {
		return r, err
	}
	defer s.stop()
	s.inputs = inputsOf(random, o.jobs, s.site.link)
	plan := planOf(random, o.jobs, extentOf(o.jobs))
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.start(running); err != nil {
		return r, err
	}
	go s.feed(running, len(plan))
	if err := errors.Join(s.run(running, random, plan), s.finish(running)); err != nil {
		r.Trouble = append(r.Trouble, err.Error())
	}
	r.DeliverSeconds = s.sinceStruck().Seconds()
	cancel()
	if troubles := slices.Concat(r.Trouble, s.trouble.all()); len(troubles) > 0 && o.relief != "" {
		r.Trouble = troubles
		if err := s.relieve(ctx, o.relief); err != nil {
			r.Trouble = append(r.Trouble, err.Error())
		} else {
			r.Relieved = true
		}
	}
	if r.Refused, err = s.observer.refused(ctx); err != nil {
		return r, err
	}
	s.stop()
	r.sum(s)
	return r, r.judge(s)
}

// finish waits for the end of what is under way.
func (s *siege) finish(ctx context.Context) error {
	s.mu.Lock()
	s.stepped = s.o.jobs * 2 // whatever the plan allowed, the rest may come
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.fedUp:
	case <-time.After(s.o.patience):
		return fmt.Errorf("put in the last jobs: %w", os.ErrDeadlineExceeded)
	}
	if s.feedErr != nil {
		return s.feedErr
	}
	return s.delivered(ctx)
}

func (r *result) sum(s *siege) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Seconds, r.Events, r.Log, r.Kills = time.Since(s.began).Seconds(), s.bell.total(), s.log, map[victim]int{}
	r.Trouble = append(r.Trouble, s.trouble.all()...)
	for _, a := range s.log {
		switch {
		case a.What == "fill":
			r.Fills++
		case a.What == "free":
		case !a.Counts:
			r.Uncounted++
		default:
			r.Counted++
			r.Kills[a.Victim]++
			if a.Recovering {
				r.DoubleKills++
			}
		}
	}
}

// judged compares the job database with MLflow's, and with itself at the moments that were looked at.
func (s *siege) judged() (jobs int, f findings, c compared, err error) {
	held, err := readState(s.mlflow())
	if err != nil {
		return 0, f, c, err
	}
	report, err := reconcile.Judge(reconcile.Jobs(context.Background(), s.database()), held, reconcile.Terms{Experiment: experiment, Strict: true})
	if err != nil {
		return 0, f, c, err
	}
	moments, torn := s.moments.all()
	// Nothing is old enough to be pruned from the outbox.
	f = findings{slices.Concat(report.Lost, report.Deleted, report.Unrecorded), report.Doubled, slices.Concat(report.Wrong, report.Renamed, torn)}
	return report.Jobs, f, compared{report.Runs, report.Files, report.Traces, report.Spans, moments}, nil
}

// judge compares inputs, jobs and MLflow's database.
func (r *result) judge(s *siege) error {
	var err error
	if r.Jobs, r.Findings, r.Compared, err = s.judged(); err != nil {
		return err
	}
	links, err := r.judgeInput(s)
	if err != nil {
		return err
	}
	other, n, err := s.judgeKnown(context.Background(), links)
	if err != nil {
		return err
	}
	r.Known, r.Findings.Wrong = n, append(r.Findings.Wrong, other...)
	r.Lost, r.Doubled, r.Wrong = len(r.Findings.Lost), len(r.Findings.Doubled), len(r.Findings.Wrong)
	letters, err := filepath.Glob(filepath.Join(s.queue(), "dead-letter", "*.json"))
	if err != nil {
		return err
	}
	for _, name := range letters {
		r.DeadLetters = append(r.DeadLetters, refusals(name))
	}
	return nil
}

// refusals says what a dead letter is about.
func refusals(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	var letter struct {
		TraceID string          `json:"trace_id"`
		Refused json.RawMessage `json:"refused"`
	}
	if err := json.Unmarshal(b, &letter); err != nil {
		return name + ": " + err.Error()
	}
	return letter.TraceID + ": " + string(letter.Refused)
}

// judgeInput compares what was put in with the tables of the job database, and returns the
// jobs' links.
func (r *result) judgeInput(s *siege) (map[int64]string, error) {
	db, err := openReadOnly(s.database())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Query(`SELECT m.event_id, j.id, j.url, j.state, j.outcome, j.attempt FROM jobs j JOIN messages m ON m.id = j.message_id`)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	defer rows.Close()
	byJob, links := map[int64]string{}, map[string][]string{}
	r.Outcomes = map[string]int{}
	for rows.Next() {
		var id int64
		var attempts int
		var event, link, state, outcome string
		if err := rows.Scan(&event, &id, &link, &state, &outcome, &attempts); err != nil {
			return nil, fmt.Errorf("read jobs: %w", err)
		}
		byJob[id], links[event] = link, append(links[event], link)
		r.Outcomes[outcome]++
		r.Attempts += attempts
		if state != "final" {
			r.Input = append(r.Input, fmt.Sprintf("job %d is %s", id, state))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	for _, in := range s.inputs {
		want := slices.Sorted(slices.Values(in.Links))
		if len(want) == 0 {
			want = []string{""}
		}
		if got := slices.Sorted(slices.Values(links[in.EventID])); !slices.Equal(got, want) {
			r.Input = append(r.Input, fmt.Sprintf("event %s has jobs of %q; want %q", in.EventID, got, want))
		}
		delete(links, in.EventID)
	}
	for event := range links {
		r.Input = append(r.Input, fmt.Sprintf("event %s was never put in", event))
	}
	return byJob, nil
}

// save writes the results of a run.
func save(path string, r any) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d jobs in %.0f s, %d kills with work under way (worker %d, Collector %d, MLflow %d), %d of them while the Collector recovered, disk full %d ×\n",
		r.Seed, r.Jobs, r.Seconds, r.Counted, r.Kills[worker], r.Kills[collector], r.Kills[mlflow], r.DoubleKills, r.Fills)
	fmt.Fprintf(&b, "compared %d runs, %d artifacts, %d traces, %d spans, and the job database with itself at %d moments; %d ends with the links, %d artifacts with the stages' results, %d spans with counted calls: %d lost, %d doubled, %d wrong; all delivered %.0f s after the last kill\n",
		r.Compared.Runs, r.Compared.Artifacts, r.Compared.Traces, r.Compared.Spans, r.Compared.Moments, r.Known.Fates, r.Known.Results, r.Known.Calls, r.Lost, r.Doubled, r.Wrong, r.DeliverSeconds)
	for what, list := range map[string][]reconcile.Finding{"lost": r.Findings.Lost, "doubled": r.Findings.Doubled, "wrong": r.Findings.Wrong} {
		for i, f := range list {
			if i == 10 {
				fmt.Fprintf(&b, "  … %d more\n", len(list)-i)
				break
			}
			fmt.Fprintf(&b, "  %s: job %d, %s (%s): %s\n", what, f.Job, f.Item, f.Key, f.Detail)
		}
	}
	for _, text := range slices.Concat(r.Input, r.DeadLetters, r.Trouble) {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	if r.Refused > 0 {
		fmt.Fprintf(&b, "  %d messages were set aside by the worker\n", r.Refused)
	}
	return b.String()
}

func revision(top string) string {
	cmd := exec.Command("git", "describe", "--always", "--dirty")
	cmd.Dir = top
	out, _ := cmd.Output() // "" outside a checkout
	return strings.TrimSpace(string(out))
}
