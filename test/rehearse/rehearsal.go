//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/test/docrun"
)

type options struct {
	top   string // the checkout
	bin   string // folder of the programs
	out   string // folder of the protocol; "": it is not saved
	old   string // version of MLflow that the old deployment has
	keep  bool
	links int // that are shared in each phase
}

// rehearsal is one walk through the guide.
type rehearsal struct {
	options
	place     *place
	world     *world
	guide     *docrun.Page
	shell     *docrun.Shell // in the folder of the new deployment
	builder   *docrun.Shell // in the checkout
	followed  map[int]bool  // lines of the guide's blocks that were run
	protocol  *protocol
	old       old
	client    *mlflow.Client
	reference map[string]reply  // of each page: its comment
	seen      int64             // the last job that a step has looked at
	recorded  []pipeline.Report // jobs that MLflow holds, as was seen
	without   float64           // seconds of work for a job in phase 0, median
}

// work is how many seconds jobs took, the median, without the last stage: how fast posts may
// follow each other is Slack's business.
func work(jobs []pipeline.Report) float64 {
	times := make([]float64, len(jobs))
	for i, j := range jobs {
		for _, st := range j.Stages {
			if st.Stage != commentator.StageSlackPost {
				times[i] += st.Seconds
			}
		}
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// follow runs the commands of sections of the guide, and returns what they print.
func (r *rehearsal) follow(ctx context.Context, s *step, sections ...string) (string, error) {
	var all strings.Builder
	for _, name := range sections {
		blocks := r.guide.Section(name)
		if len(blocks) == 0 {
			return "", fmt.Errorf("%s has no commands below a heading %q", r.guide.Path, name)
		}
		for _, b := range blocks {
			shell := r.shell
			if strings.HasPrefix(b.Text, "make ") {
				shell = r.builder // the place has links to the checkout, which Go does not follow
			}
			out, err := shell.Run(ctx, b)
			all.WriteString(out)
			r.followed[b.Line] = true
			if err != nil {
				return all.String(), fmt.Errorf("%w\n%s", err, last(out, 4000))
			}
		}
		s.did("the guide's commands below “%s”", name)
	}
	return all.String(), nil
}

// left are the blocks of the guide that nobody ran.
func (r *rehearsal) left() error {
	var lines []string
	for _, b := range r.guide.Blocks {
		if !r.followed[b.Line] && b.Skip == "" {
			lines = append(lines, b.String())
		}
	}
	if len(lines) > 0 {
		return fmt.Errorf("the guide has commands that the rehearsal does not run: %s", strings.Join(lines, ", "))
	}
	return nil
}

// run runs a program of the new deployment beside the guide.
func (r *rehearsal) run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := output(r.place.command(ctx, r.place.new, filepath.Join(r.place.new, "bin", program), args...))
	return string(out), err
}

// jobs are all that the worker's database holds, the oldest first.
func (r *rehearsal) jobs(ctx context.Context) ([]pipeline.Report, error) {
	out, err := r.run(ctx, "commentator", "jobs", "list", "--limit", "0", "--json")
	if err != nil {
		return nil, err
	}
	var all []pipeline.Report
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var j pipeline.Report
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			return nil, fmt.Errorf("read jobs: %w", err)
		}
		all = append(all, j)
	}
	slices.SortFunc(all, func(a, b pipeline.Report) int { return int(a.JobID - b.JobID) })
	return all, lines.Err()
}

// settled waits until no job is open, and returns those that nobody has looked at yet.
func (r *rehearsal) settled(ctx context.Context) (fresh []pipeline.Report, err error) {
	err = until(ctx, "all jobs to end", func() (bool, error) {
		all, err := r.jobs(ctx)
		if err != nil {
			return false, err
		}
		fresh = slices.DeleteFunc(slices.Clone(all), func(j pipeline.Report) bool { return j.JobID <= r.seen })
		return !slices.ContainsFunc(all, func(j pipeline.Report) bool { return j.State != commentator.JobFinal }), nil
	})
	for _, j := range fresh {
		r.seen = max(r.seen, j.JobID)
	}
	return fresh, err
}

// status is what `commentator status` says of the outbox.
type status struct {
	StoreID string `json:"store_id"`
	Worker  bool   `json:"worker"`
	Mode    string `json:"mode"`
	Outbox  struct {
		Depth    int              `json:"depth"`
		Sent     int              `json:"sent_kept"`
		SetAside int              `json:"set_aside"`
		Lost     map[string]int64 `json:"lost"`
	} `json:"outbox"`
}

func (r *rehearsal) status(ctx context.Context) (st status, err error) {
	out, err := r.run(ctx, "commentator", "status", "--json")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal([]byte(out), &st)
}

// round lets people share pages and holds the comments against what they have to be.
func (r *rehearsal) round(ctx context.Context, s *step, mode string, detail commentator.Detail) ([]pipeline.Report, error) {
	err := until(ctx, "the worker to take work", func() (bool, error) { return answers("http://" + r.place.health + "/readyz"), nil })
	if err != nil {
		return nil, err
	}
	st, err := r.status(ctx)
	if err != nil {
		return nil, err
	}
	if st.Mode != mode || !st.Worker {
		return nil, fmt.Errorf("telemetry is %s and a worker runs: %v; want %s and true", st.Mode, st.Worker, mode)
	}
	replies, err := r.world.share(ctx, r.links)
	if err != nil {
		return nil, err
	}
	jobs, err := r.settled(ctx)
	if err != nil {
		return nil, err
	}
	if err := same(replies, r.reference); err != nil {
		return nil, err
	}
	if len(jobs) != r.links {
		return nil, fmt.Errorf("%d jobs of %d links", len(jobs), r.links)
	}
	for _, j := range jobs {
		if j.Outcome != commentator.OutcomeSuccess || j.Detail != detail {
			return nil, fmt.Errorf("job %d is %s in detail %s: %s; want success in detail %s", j.JobID, j.Outcome, j.Detail, j.Error, detail)
		}
	}
	took := work(jobs)
	if r.without == 0 {
		r.without = took
	}
	s.checked("%d links, %d replies, %d bytes: identical to the byte; %.0f ms of work for a job (median; %.0f ms in phase 0)",
		r.links, len(replies), bytesOf(replies), took*1000, r.without*1000)
	return jobs, nil
}

// exists makes sure that a path below the new deployment is there, or is not.
func (r *rehearsal) exists(name string, want bool) error {
	if there(filepath.Join(r.place.new, name)) != want {
		return fmt.Errorf("%s is there: %v; want %v", name, !want, want)
	}
	return nil
}

func (r *rehearsal) dotenv() (string, error) {
	text, err := os.ReadFile(filepath.Join(r.place.new, ".env"))
	return string(text), err
}
