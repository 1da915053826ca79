package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

// Server is what is asked of MLflow's API; mlflow.Client has it.
type Server interface {
	SearchAllExperiments(ctx context.Context) ([]mlflow.Experiment, error)
	ListArtifacts(ctx context.Context, runID, dir string) ([]mlflow.File, error)
	SetExperimentTag(ctx context.Context, id, key, value string) error
	DeleteRun(ctx context.Context, runID string) error
	RestoreRun(ctx context.Context, runID string) error
	DeleteTraces(ctx context.Context, experimentID string, traceIDs ...string) (int, error)
}

// Options says where MLflow is, what of it is meant and what may go.
type Options struct {
	Rule
	Server   Server
	Endpoint string // of the server, without credentials
	// Store is the backend store that the server was started with, and Artifacts the directory
	// whose artifacts it serves.
	Store, Artifacts string
	// Experiments are the names of those that are meant; none means all.
	Experiments []string
	// LockFor is how long MLflow may have to wait while its database is written anew.
	LockFor time.Duration
	// Progress, if set, is told how many of the runs to be removed are gone.
	Progress func(done, all int)
}

// retention is one time.
type retention struct {
	Options
	db          *database
	files       *files
	experiments []experiment // in scope
	names       map[int64]string
	groups      []group
	stray       []stray
	report      *Report
}

// Run finds what may go and, with apply, removes it. The report is not nil when there is an
// error after the first removal.
func Run(ctx context.Context, o Options, apply bool) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Server = patient{o.Server}
	r := &retention{Options: o, names: map[int64]string{}}
	var err error
	if r.files, err = openFiles(o.Artifacts, o.Endpoint); err != nil {
		return nil, err
	}
	defer r.files.Close()
	if r.db, err = openDatabase(ctx, o.Store); err != nil {
		return nil, err
	}
	defer r.db.Close()
	if err := r.choose(ctx); err != nil {
		return nil, err
	}
	if err := r.plan(ctx); err != nil {
		return nil, err
	}
	if !apply {
		return r.report, nil
	}
	return r.report, r.apply(ctx)
}

// choose finds the experiments, and makes sure that the file is the server's database.
func (r *retention) choose(ctx context.Context) error {
	told, err := r.Server.SearchAllExperiments(ctx)
	if err != nil {
		return fmt.Errorf("list experiments: %w", err)
	}
	held, err := r.db.experiments(ctx)
	if err != nil {
		return err
	}
	for _, e := range held {
		r.names[e.id] = e.name
	}
	for _, t := range told {
		if id, err := strconv.ParseInt(t.ID, 10, 64); err != nil || r.names[id] != t.Name {
			return r.foreign(fmt.Sprintf("experiment %s, %q, is %q there", t.ID, t.Name, r.names[id]))
		}
	}
	for _, e := range held {
		if len(r.Experiments) == 0 || slices.Contains(r.Experiments, e.name) {
			r.experiments = append(r.experiments, e)
		}
	}
	if len(r.experiments) == 0 {
		return fmt.Errorf("no experiment %q on %s", r.Experiments[0], r.Endpoint)
	}
	return nil
}

// foreign says that the file is not the server's database.
func (r *retention) foreign(why string) error {
	return fmt.Errorf("%s is not the database of %s: %s. --mlflow-store (MLFLOW_BACKEND_STORE) must name the one that MLflow was started with", r.db.path, r.Endpoint, why)
}

// plan decides what goes, and counts it.
func (r *retention) plan(ctx context.Context) error {
	scope := map[int64]bool{}
	for _, e := range r.experiments {
		scope[e.id] = true
	}
	facts, err := r.db.read(ctx, scope)
	if err != nil {
		return err
	}
	if err := r.recognise(ctx, facts.runs); err != nil {
		return err
	}
	// What lies where it cannot be removed from keeps its owner.
	var unknown []string
	remote := func(uri, id string, experiment int64) {
		if _, err := r.files.locate(uri, id); err != nil && scope[experiment] && facts.protected[id] == "" {
			facts.protected[id] = Remote
			unknown = append(unknown, err.Error())
		}
	}
	for _, run := range facts.runs {
		remote(run.uri, run.id, run.experiment)
	}
	for _, t := range facts.traces {
		remote(t.location, t.id, t.experiment)
	}
	r.groups = decide(facts, r.Rule)
	return r.count(ctx, unknown)
}

// recognise makes sure that the directory holds the artifacts that the server serves: of the
// latest runs that have any, MLflow must tell of files too.
func (r *retention) recognise(ctx context.Context, runs []run) error {
	const enough, most = 5, 50
	seen, asked := 0, 0
	for _, one := range slices.Backward(runs) {
		p, err := r.files.locate(one.uri, one.id)
		if err != nil || p.root != r.files.served || one.open {
			continue
		}
		if seen == enough || asked == most {
			return nil
		}
		asked++
		told, err := r.Server.ListArtifacts(ctx, one.id, "")
		if err != nil {
			return fmt.Errorf("list artifacts: %w", err)
		}
		held, _, err := r.files.measure(p)
		if err != nil {
			continue // it says nothing about the others
		}
		named := slices.ContainsFunc(told, func(f mlflow.File) bool { return !f.IsDir }) // directories may be empty
		if named && held.Files == 0 || len(told) == 0 && held.Files > 0 {
			return fmt.Errorf("%s is not where %s keeps its artifacts: of run %s it tells of %d, and %d lie there. --artifacts (MLFLOW_ARTIFACT_ROOT) must name the directory that MLflow was started with",
				r.files.served, r.Endpoint, one.id, len(told), held.Files)
		}
		if held.Files > 0 {
			seen++
		}
	}
	return nil
}

// count fills the report with what goes and what stays. What cannot be read stays with its
// group, as what lies elsewhere does; unknown says why of the latter.
func (r *retention) count(ctx context.Context, unknown []string) error {
	r.report = newReport(r.Rule, r.experiments)
	var going []group
	for i := range r.groups {
		g := &r.groups[i]
		if g.reason == "" {
			for _, p := range r.places(*g) {
				s, _, err := r.files.measure(p)
				if err != nil {
					unknown = append(unknown, fmt.Sprintf("measure artifacts: %v", err))
					g.reason = Remote
					break
				}
				g.held.add(s)
			}
		}
		if g.reason == "" {
			going = append(going, *g)
		}
		r.report.add(*g)
	}
	r.report.Remote = append(r.report.Remote, unknown[:min(examples, len(unknown))]...)
	p, err := readPages(ctx, r.db.sql)
	if err != nil {
		return err
	}
	r.report.Database.Before, r.report.Database.After = p.bytes(), p.bytes()
	if r.report.Database.Payload, err = r.db.payload(ctx, going); err != nil {
		return err
	}
	if r.stray, err = r.strayDirectories(ctx); err != nil {
		return err
	}
	for _, s := range r.stray {
		r.report.Orphans.directory(s)
	}
	r.report.Orphans.Rows, err = r.db.countStrayRows(ctx, r.Now)
	return err
}

// places are the directories of a group's artifacts.
func (r *retention) places(g group) []place {
	var all []place
	add := func(uri, id string) {
		if p, err := r.files.locate(uri, id); err == nil && p.root != "" {
			all = append(all, p)
		}
	}
	for _, run := range g.runs {
		add(run.uri, run.id)
	}
	for _, t := range g.traces {
		add(t.location, t.id)
	}
	return all
}

// mark says on each experiment that this was here, and up to when runs of it may be gone, before
// the first one is. That the first tag appears in the file proves that it is the server's.
func (r *retention) mark(ctx context.Context) error {
	told, err := r.Server.SearchAllExperiments(ctx)
	if err != nil {
		return fmt.Errorf("list experiments: %w", err)
	}
	before := marks(r.groups)
	now := r.Now.UTC().Format(time.RFC3339Nano)
	for _, e := range told {
		id, err := strconv.ParseInt(e.ID, 10, 64)
		mine := slices.ContainsFunc(r.experiments, func(o experiment) bool { return o.id == id })
		if err != nil || !mine || e.Stage == mlflow.Deleted { // which nobody may tag, and in which nothing is looked for
			continue
		}
		if err := r.Server.SetExperimentTag(ctx, e.ID, LastTime, now); err != nil {
			return fmt.Errorf("mark experiment %q: %w", e.Name, err)
		}
		if got, err := r.db.experimentTag(ctx, id, LastTime); err != nil || got != now {
			return errors.Join(err, r.foreign(fmt.Sprintf("a tag that was just set on experiment %q is not there", e.Name)))
		}
		at, was := before[id], tagged(e)
		if at.IsZero() || !at.After(was) {
			continue
		}
		if err := r.Server.SetExperimentTag(ctx, e.ID, Mark, at.Format(time.RFC3339Nano)); err != nil {
			return fmt.Errorf("mark experiment %q: %w", e.Name, err)
		}
	}
	return nil
}

// tagged is the mark of an experiment, zero if it has none that can be read.
func tagged(e mlflow.Experiment) time.Time {
	for _, t := range e.Tags {
		if t.Key == Mark {
			at, _ := time.Parse(time.RFC3339, t.Value)
			return at
		}
	}
	return time.Time{}
}

// apply removes what may go. What cannot be removed is told at the end, and does not keep
// the rest.
func (r *retention) apply(ctx context.Context) error {
	if err := r.mark(ctx); err != nil {
		return err
	}
	r.report.begin()
	if err := r.removeGroups(ctx); err != nil {
		return err
	}
	err := r.removeStrays(ctx)
	if err != nil {
		r.report.problem(err)
	}
	if r.report.Database.Note, err = r.db.giveBack(ctx, r.LockFor); err != nil {
		r.report.problem(err)
	}
	p, err := readPages(ctx, r.db.sql)
	r.report.Database.After = p.bytes()
	return errors.Join(err, ctx.Err())
}
