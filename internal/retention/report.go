package retention

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/internal/counted"
)

// Report says what would go or, once it is applied, what is gone, and what stays. Its JSON is
// a contract.
type Report struct {
	Applied     bool            `json:"applied"`
	Before      time.Time       `json:"before"` // what started later stays
	KeepLast    int             `json:"keep_last"`
	KeepFor     string          `json:"keep_for"`
	Experiments []*OfExperiment `json:"experiments"`
	Orphans     Orphans         `json:"orphans"`
	Database    DatabaseFile    `json:"database"`
	Remote      []string        `json:"remote"`   // examples of why files cannot be removed from here
	Problems    []string        `json:"problems"` // what could not be removed, and why
	of          map[int64]*OfExperiment
}

// examples is how many addresses are named.
const examples = 5

// OfExperiment is what goes and stays of an experiment. A group counts where its first run is,
// or its first trace.
type OfExperiment struct {
	ID        int64          `json:"id"`
	Name      string         `json:"name"`
	Jobs      int            `json:"jobs"` // runs that are not nested
	Runs      int            `json:"runs"`
	Traces    int            `json:"traces"`
	Artifacts size           `json:"artifacts"`
	Kept      map[Reason]int `json:"kept"` // groups that stay, by reason
}

// Orphans are what has no owner any more.
type Orphans struct {
	Traces      int   `json:"traces"` // of runs that are gone; counted above too
	Directories int   `json:"directories"`
	Files       size  `json:"artifacts"`
	Rows        int64 `json:"rows"`
}

// DatabaseFile is the size of MLflow's database, in bytes.
type DatabaseFile struct {
	Before  int64  `json:"bytes_before"`
	After   int64  `json:"bytes_after"`
	Payload int64  `json:"payload"` // of the rows that go: their texts, without indexes
	Note    string `json:"note,omitempty"`
}

func newReport(rule Rule, experiments []experiment) *Report {
	r := &Report{
		Before: rule.Cutoff().UTC(), KeepLast: rule.Last, KeepFor: rule.Age.String(),
		Experiments: []*OfExperiment{}, Remote: []string{}, Problems: []string{}, of: map[int64]*OfExperiment{},
	}
	for _, e := range experiments {
		of := &OfExperiment{ID: e.id, Name: e.name, Kept: map[Reason]int{}}
		r.Experiments, r.of[e.id] = append(r.Experiments, of), of
	}
	return r
}

// experiment is the one in scope where a group counts.
func (r *Report) experiment(g group) *OfExperiment {
	for _, run := range g.runs {
		if of := r.of[run.experiment]; of != nil {
			return of
		}
	}
	for _, t := range g.traces {
		if of := r.of[t.experiment]; of != nil {
			return of
		}
	}
	return &OfExperiment{Kept: map[Reason]int{}} // decide leaves out such groups
}

// add counts a group: one that stays, or goes.
func (r *Report) add(g group) {
	of := r.experiment(g)
	if g.reason != "" {
		of.Kept[g.reason]++
		return
	}
	of.Jobs += len(g.roots())
	of.Runs += len(g.runs)
	of.Traces += len(g.traces)
	of.Artifacts.add(g.held)
	if g.orphan {
		r.Orphans.Traces += len(g.traces)
	}
}

// begin turns the plan into what is done so far: nothing.
func (r *Report) begin() {
	r.Applied, r.Orphans = true, Orphans{}
	for _, of := range r.Experiments {
		of.Jobs, of.Runs, of.Traces, of.Artifacts = 0, 0, 0, size{}
	}
}

// refuse says that a group stays which was to go.
func (r *Report) refuse(g group, reason Reason) { r.experiment(g).Kept[reason]++ }

func (r *Report) problem(err error) { r.Problems = append(r.Problems, err.Error()) }

// Freed is how many bytes of disk were given back: files, and what the database is shorter.
func (r *Report) Freed() int64 {
	n := r.Orphans.Files.Bytes + r.Database.Before - r.Database.After
	for _, e := range r.Experiments {
		n += e.Artifacts.Bytes
	}
	return n
}

// reasons say to people why something stays.
var reasons = []struct {
	reason Reason
	says   string
}{
	{Young, "young"},
	{Last, "among the last"},
	{Open, "not finished"},
	{Kept, "tagged " + Keep},
	{Referred, "needed by others"},
	{Elsewhere, "with a part in another experiment"},
	{Remote, "with files that cannot be removed from here"},
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	verb := "would be removed"
	if r.Applied {
		verb = "removed"
	}
	fmt.Fprintf(&b, "Of each experiment the last %d jobs stay, and what started after %s.\n\n", r.KeepLast, r.Before.Format(time.RFC3339))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\tjobs\truns\ttraces\tfiles\tbytes\tstay\n", verb)
	for _, e := range r.Experiments {
		var kept []string
		for _, x := range reasons {
			if n := e.Kept[x.reason]; n > 0 {
				kept = append(kept, fmt.Sprintf("%d %s", n, x.says))
			}
		}
		if e.Runs+e.Traces == 0 && len(kept) == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", e.Name, e.Jobs, e.Runs, e.Traces, e.Artifacts.Files, e.Artifacts.Bytes, strings.Join(kept, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&b, "\nWithout an owner: %s of runs that are gone, %s with %s (%s), %s.\n",
		counted.Of(r.Orphans.Traces, "trace"), counted.Form(r.Orphans.Directories, "directory", "directories"), counted.Of(r.Orphans.Files.Files, "file"),
		counted.Of(r.Orphans.Files.Bytes, "byte"), counted.Of(r.Orphans.Rows, "row"))
	if r.Applied {
		fmt.Fprintf(&b, "The database was %d bytes long and is %d; %d bytes of disk were given back in all.\n", r.Database.Before, r.Database.After, r.Freed())
	} else {
		fmt.Fprintf(&b, "The database is %d bytes long, of which the rows that would go hold about %d.\nNothing was changed; --apply removes it.\n", r.Database.Before, r.Database.Payload)
	}
	if r.Database.Note != "" {
		fmt.Fprintf(&b, "Note: %s.\n", r.Database.Note)
	}
	for _, why := range r.Remote {
		fmt.Fprintf(&b, "Stays with its job: %s\n", why)
	}
	for _, p := range slices.Sorted(slices.Values(r.Problems)) {
		fmt.Fprintf(&b, "Not removed: %s\n", p)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
