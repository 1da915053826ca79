package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/technoshare/commentator/data/demo"
	"github.com/technoshare/commentator/internal/pipeline"
)

// enact makes a job of every document and event and waits until all are final. The first
// document is analysed by the recorded model, the others offline.
func (s *servers) enact(ctx context.Context, inputs []demo.Input) ([]played, error) {
	ctx, cancel := context.WithTimeout(ctx, workPatience)
	defer cancel()
	var jobs []played
	add := func(in demo.Input, reports []pipeline.Report, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", in.Name, err)
		}
		if in.Name != extraName && len(reports) != len(in.Jobs) {
			return fmt.Errorf("%s: made %d jobs instead of %d", in.Name, len(reports), len(in.Jobs))
		}
		for i, r := range reports {
			p := played{name: in.Name, job: r}
			if len(reports) > 1 {
				p.name = fmt.Sprintf("%s (%d)", in.Name, i+1)
			}
			if in.Name != extraName {
				p.want = &in.Jobs[i]
			}
			jobs = append(jobs, p)
		}
		return nil
	}

	// One process at a time works on a database, so the model's job comes before the worker.
	for _, in := range inputs {
		if !in.Model {
			continue
		}
		say("One job with a model (recorded answers on loopback): %s …", in.Name)
		reports, err := s.commentator(ctx, []string{
			"OPENAI_API_KEY=demo-key", "OPENAI_BASE_URL=" + s.model.address + "/v1", "MODEL_STAGE_A=gpt-4o-mini", "MODEL_STAGE_B=gpt-4o", "MODEL_TEMPERATURE=0.2", "MODEL_MAX_TOKENS=4096",
		}, "replay", "--json", s.documents.address+in.Path)
		if err := add(in, reports, err); err != nil {
			return nil, err
		}
	}
	for _, in := range inputs {
		if in.Model {
			continue
		}
		args := []string{"replay", "--json", "--enqueue"}
		if in.Event == "" {
			args = append(args, s.documents.address+in.Path)
		} else {
			file, err := s.event(in)
			if err != nil {
				return nil, err
			}
			args = append(args, "--again", "--event", file)
		}
		reports, err := s.commentator(ctx, nil, args...)
		if err := add(in, reports, err); err != nil {
			return nil, err
		}
	}
	say("%d jobs are queued; the worker takes them through its five stages …", len(jobs))
	// --drain repeats what failed within seconds: nobody waits minutes for a demo.
	if err := s.start("worker", s.env, "bin/commentator", "serve", "--drain"); err != nil {
		return nil, err
	}
	for i, p := range jobs {
		final, err := s.final(ctx, p.job.JobID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		jobs[i].job = final
		say("  job %-3d %-11s %s", final.JobID, final.Outcome, p.name)
	}
	if err := s.ended(ctx, "worker"); err != nil {
		return nil, err
	}
	return jobs, s.start("worker", s.env, "bin/commentator", "serve")
}

// extraName is the input that DEMO_EXTRA_EVENT adds: listed, its outcome not compared.
const extraName = "your event"

// event writes the file of an event with the address of the documents' server in it. An
// event of the user's own is taken as it is.
func (s *servers) event(in demo.Input) (string, error) {
	if in.Name == extraName {
		return filepath.Abs(in.Event)
	}
	file := filepath.Join(s.dir, filepath.Base(in.Event))
	return file, os.WriteFile(file, in.FillEvent(s.documents.address), 0o644)
}

// lag is how long after its end MLflow showed a job; 0 when it was there at the first look.
func lag(ended, seen time.Time) time.Duration {
	if seen.Before(ended) {
		return 0
	}
	return seen.Sub(ended)
}
