package retention

import (
	"cmp"
	"slices"
	"time"
)

// run is a row of MLflow's table of runs.
type run struct {
	id         string
	experiment int64
	open       bool
	trashed    bool  // deleted, and not yet for good
	at         int64 // start, ms since 1970
	uri        string
	parent     string // "" = none
}

// trace is a row of MLflow's table of traces.
type trace struct {
	id         string
	experiment int64
	open       bool
	at         int64
	location   string   // where its files are; "" = nowhere
	runs       []string // that it names, there or not
}

// facts are what the decision rests on.
type facts struct {
	runs   []run
	traces []trace
	// links are pairs of ids, of runs or traces, that belong together.
	links [][2]string
	// protected are runs and traces that must stay, whatever their age.
	protected map[string]Reason
	// scope holds the experiments that were asked for.
	scope map[int64]bool
}

// group is what goes or stays together.
type group struct {
	runs   []run
	traces []trace
	reason Reason // why it stays; "" = it goes
	orphan bool   // nothing but traces whose runs are gone
	held   size   // its files, when it goes
}

// roots are the runs of a group that are not nested in another of it.
func (g group) roots() []run {
	inside := map[string]bool{}
	for _, r := range g.runs {
		inside[r.id] = true
	}
	return slices.DeleteFunc(slices.Clone(g.runs), func(r run) bool { return inside[r.parent] })
}

// decide divides the facts into groups, and says of each whether it goes. Groups without
// anything in scope are left out. The oldest comes first.
func decide(f facts, rule Rule) []group {
	cutoff := rule.Cutoff().UnixMilli()
	last := lastOnes(f, rule.Last)
	d := newSets(len(f.runs) + len(f.traces))
	index := make(map[string]int, len(f.runs)+len(f.traces))
	for i, r := range f.runs {
		index[r.id] = i
	}
	for i, t := range f.traces {
		index[t.id] = len(f.runs) + i
	}
	join := func(a, b string) {
		i, ok := index[a]
		j, there := index[b]
		if ok && there {
			d.join(i, j)
		}
	}
	for _, r := range f.runs {
		join(r.id, r.parent)
	}
	for _, t := range f.traces {
		for _, of := range t.runs {
			join(t.id, of)
		}
	}
	for _, l := range f.links {
		join(l[0], l[1])
	}
	groups := map[int]*group{}
	in := map[int]bool{}
	add := func(i int, id string, experiment, at int64, open bool) *group {
		k := d.find(i)
		g := groups[k]
		if g == nil {
			g = &group{}
			groups[k] = g
		}
		in[k] = in[k] || f.scope[experiment]
		g.stay(f.protected[id], f.protected[id] != "")
		g.stay(Open, open)
		g.stay(Elsewhere, !f.scope[experiment])
		g.stay(Last, last[id])
		g.stay(Young, at >= cutoff)
		return g
	}
	for i, r := range f.runs {
		g := add(i, r.id, r.experiment, r.at, r.open)
		g.runs = append(g.runs, r)
	}
	for i, t := range f.traces {
		g := add(len(f.runs)+i, t.id, t.experiment, t.at, t.open)
		g.traces = append(g.traces, t)
	}
	out := make([]group, 0, len(groups))
	for k, g := range groups {
		if !in[k] {
			continue
		}
		g.orphan = len(g.runs) == 0 && slices.ContainsFunc(g.traces, func(t trace) bool { return len(t.runs) > 0 })
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.start(), b.start()), cmp.Compare(a.name(), b.name()))
	})
	return out
}

// lastOnes gives the newest job runs of each experiment in scope, and the newest traces that
// never had a run. What is in the trash, and what was nested in a run that is gone, is no job run.
func lastOnes(f facts, n int) map[string]bool {
	type item struct {
		id string
		at int64
	}
	runs, traces := map[int64][]item{}, map[int64][]item{}
	for _, r := range f.runs {
		if f.scope[r.experiment] && r.parent == "" && !r.trashed {
			runs[r.experiment] = append(runs[r.experiment], item{r.id, r.at})
		}
	}
	for _, t := range f.traces {
		if f.scope[t.experiment] && len(t.runs) == 0 {
			traces[t.experiment] = append(traces[t.experiment], item{t.id, t.at})
		}
	}
	last := map[string]bool{}
	for _, by := range []map[int64][]item{runs, traces} {
		for _, items := range by {
			slices.SortFunc(items, func(a, b item) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.id, b.id)) })
			for _, i := range items[:min(n, len(items))] {
				last[i.id] = true
			}
		}
	}
	return last
}

// stay notes a reason unless there is a stronger one.
func (g *group) stay(r Reason, holds bool) {
	if holds && strength[r] > strength[g.reason] {
		g.reason = r
	}
}

// start is that of the earliest member, in ms since 1970.
func (g group) start() int64 {
	first := int64(1<<63 - 1)
	for _, r := range g.runs {
		first = min(first, r.at)
	}
	for _, t := range g.traces {
		first = min(first, t.at)
	}
	return first
}

// name is an id of a member that is the same each time.
func (g group) name() string {
	if roots := g.roots(); len(roots) > 0 {
		return roots[0].id
	}
	if len(g.runs) > 0 {
		return g.runs[0].id
	}
	return g.traces[0].id
}

// marks gives, by experiment, the time before which all runs started that go.
func marks(groups []group) map[int64]time.Time {
	out := map[int64]time.Time{}
	for _, g := range groups {
		if g.reason != "" {
			continue
		}
		for _, r := range g.runs {
			// Starts are whole milliseconds, cut off.
			if at := time.UnixMilli(r.at + 1).UTC(); at.After(out[r.experiment]) {
				out[r.experiment] = at
			}
		}
	}
	return out
}

// sets are disjoint sets of numbers.
type sets []int

func newSets(n int) sets {
	s := make(sets, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func (s sets) find(i int) int {
	for s[i] != i {
		s[i] = s[s[i]]
		i = s[i]
	}
	return i
}

func (s sets) join(i, j int) { s[s.find(i)] = s.find(j) }
