package prompts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/mlflow"
)

// Promotion is that a prompt's alias shall name another version.
type Promotion struct {
	Name string  `json:"name"`
	From Version `json:"version"`            // what shall become
	Old  string  `json:"previous,omitempty"` // version that is it; empty: none
}

// Needed reports whether the alias names another version now.
func (p Promotion) Needed() bool { return p.Old != p.From.Version }

// Plan says what promoting from one alias to another changes.
func Plan(prompts []Listed, from, to string) ([]Promotion, error) {
	var plan []Promotion
	var errs []error
	for _, l := range prompts {
		v, ok := l.At(from)
		if !ok {
			errs = append(errs, fmt.Errorf("prompt %s has no %s: `mlflowctl prompts push --alias %s` makes one", l.Name, from, from))
			continue
		}
		plan = append(plan, Promotion{Name: l.Name, From: v, Old: l.Version(to)})
	}
	return plan, errors.Join(errs...)
}

// ReadVerdict reads verdict.json, as `commentator eval gate --out DIR` writes it.
func ReadVerdict(path string) (*compare.Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read verdict: %w", err)
	}
	var r compare.Result
	if err := json.Unmarshal(text, &r); err != nil || r.Format != compare.ResultFormat {
		return nil, fmt.Errorf("read verdict %s: it is no verdict.json of `commentator eval gate --out DIR`", path)
	}
	return &r, nil
}

// Permit returns an error that says why a verdict does not permit a promotion to prod; nil: it
// does. What was evaluated has to be what prod will be: each prompt of the plan with its text, and
// each other prompt that was evaluated as prod has it, which others gives by name.
func Permit(r *compare.Result, plan []Promotion, others map[string]string) error {
	var errs []error
	if r.Verdict != compare.Pass {
		reason := "no reason is given"
		if len(r.Reasons) > 0 {
			reason = r.Reasons[0]
		}
		errs = append(errs, fmt.Errorf("the verdict is %s: %s", r.Verdict, reason))
	}
	if r.Config.Threshold <= 0 {
		errs = append(errs, errors.New("the verdict is of `eval compare` without a threshold; use `eval gate`"))
	}
	evaluated := map[string]string{}
	for _, p := range r.Cand.Prompts {
		evaluated[p.Name] = p.SHA256
	}
	for _, p := range plan {
		switch hash, ok := evaluated[p.Name]; {
		case !ok:
			errs = append(errs, fmt.Errorf("the evaluation did not use prompt %s", p.Name))
		case hash != p.From.SHA256:
			errs = append(errs, fmt.Errorf("the evaluation used another text of prompt %s (%.12s) than version %s (%.12s)", p.Name, hash, p.From.Version, p.From.SHA256))
		}
		delete(evaluated, p.Name)
	}
	for name, hash := range evaluated {
		if others[name] != hash {
			errs = append(errs, fmt.Errorf("the evaluation used a text of prompt %s (%.12s) that is not prod; promote it too", name, hash))
		}
	}
	return errors.Join(errs...)
}

// Carry moves the alias, and notes at the version what it rests on: an evaluation, or force.
func Carry(ctx context.Context, r Registry, p Promotion, to string, note mlflow.KeyValue) error {
	if note.Key != "" {
		if err := r.TagPromptVersion(ctx, p.From.id(), note); err != nil {
			return fmt.Errorf("note promotion of prompt %s: %w", p.Name, err)
		}
	}
	if err := r.SetPromptAlias(ctx, p.From.id(), to); err != nil {
		return fmt.Errorf("make prompt %s version %s %s: %w", p.Name, p.From.Version, to, err)
	}
	return nil
}
