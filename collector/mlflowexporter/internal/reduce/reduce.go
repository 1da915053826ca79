package reduce

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/internal/wire"
)

// Reduce says what MLflow should hold because of a batch of spans. The spans are read,
// never changed, and the Plan shares no memory with them.
func Reduce(spans []Span, m Mapping) Plan {
	var plan Plan
	groups := groupByTrace(spans, &plan)
	for _, group := range groups {
		group.circular = group.circles()
		group.reduce(m, &plan)
		if asked := group.repair(); asked != "" {
			if plan.Repair == nil {
				plan.Repair = map[string]string{}
			}
			plan.Repair[group.id.String()] = asked
		}
	}
	owners(membersOf(groups), m, &plan)
	return plan
}

// repair is what a repair message asks for; one that asks for more decides.
func (t *trace) repair() (asked string) {
	for _, s := range t.spans {
		switch s.resourceText(wire.ResRepair) {
		case wire.RepairRecreate:
			return wire.RepairRecreate
		case wire.RepairAgain:
			asked = wire.RepairAgain
		}
	}
	return asked
}

// trace is what one batch holds of one trace: for each span id the newest version.
type trace struct {
	id    wire.TraceID
	spans []Span
	index map[pcommon.SpanID]int // of the jobs, stages and details in spans
	root  pcommon.SpanID         // of the job that has the key of the trace; zero: none
	// circular are spans that are above themselves and count as having no parent: of each
	// circle all jobs, or else all stages, so that order does not decide where it is cut.
	circular map[pcommon.SpanID]bool
}

// groupByTrace sorts spans into traces, in the order in which the traces appear.
func groupByTrace(spans []Span, plan *Plan) []*trace {
	var order []*trace
	byID := map[pcommon.TraceID]*trace{}
	for _, s := range spans {
		id := s.Span.TraceID()
		if id.IsEmpty() || s.Span.SpanID().IsEmpty() {
			// MLflow refuses the whole request for one span without ids.
			plan.Dropped = append(plan.Dropped, Drop{TraceID: id.String(), Reason: DropInvalidID, Detail: s.Span.Name()})
			continue
		}
		t := byID[id]
		if t == nil {
			t = &trace{id: wire.TraceID(id), index: map[pcommon.SpanID]int{}}
			byID[id] = t
			order = append(order, t)
		}
		t.add(s)
	}
	return order
}

// add keeps the later of two spans with one id: the one that ended later, or the one
// with the greater hash. The order of arrival decides nothing.
func (t *trace) add(s Span) {
	i, known := t.index[s.Span.SpanID()]
	if !known {
		t.index[s.Span.SpanID()] = len(t.spans)
		t.spans = append(t.spans, s)
		return
	}
	if newer(t.spans[i], s) {
		t.spans[i] = s
	}
}

func newer(old, s Span) bool {
	if a, b := end(old.Span), end(s.Span); a != b {
		return a < b
	}
	return versionOf(old.Span).Before(versionOf(s.Span))
}

func (t *trace) of(kind Kind) []Span {
	var found []Span
	for _, s := range t.spans {
		if s.Kind == kind {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(a, b Span) int {
		return cmp.Or(
			cmp.Compare(a.Span.StartTimestamp(), b.Span.StartTimestamp()),
			cmp.Compare(a.Span.SpanID().String(), b.Span.SpanID().String()))
	})
	return found
}

// reduce appends what one trace asks for: runs with parents before their children, then
// the trace, then verdicts, of which feedback makes no run.
func (t *trace) reduce(m Mapping, plan *Plan) {
	jobs, stages, messages := t.of(Job), t.of(Stage), t.of(Started)
	runs := make([]Run, 0, len(jobs)+len(stages)+1)
	known := map[string]bool{}
	for _, s := range jobs {
		if t.root.IsEmpty() && s.Span.ParentSpanID().IsEmpty() {
			t.root = s.Span.SpanID()
		}
	}
	for _, s := range jobs {
		run := jobRun(s, t.jobKey(s), t.parentKey(s), m, plan)
		known[run.Key] = true
		if s.Span.ParentSpanID().IsEmpty() {
			run.OwnKey = t.stageKey(s)
		}
		runs = append(runs, run)
	}
	stageRuns, parts := make([]Run, 0, len(stages)), t.partNames(stages, m)
	for i, s := range stages {
		parent := t.parentKey(s)
		if parent == "" {
			parent = wire.JobKey(t.id)
		}
		if m.Layout == LayoutFlat {
			parent = t.ownerKey(s)
		}
		stageRuns = append(stageRuns, stageRun(s, t.stageKey(s), parent, parts[i], m, plan))
	}
	if key := wire.JobKey(t.id); !known[key] {
		if run, ok := impliedRun(key, slices.Concat(messages, stagesOf(stages, stageRuns, key)), m); ok {
			runs = append([]Run{run}, runs...)
		}
	}
	if m.Layout == LayoutFlat {
		t.flatten(runs, stages, stageRuns, parts)
	} else {
		runs = append(runs, stageRuns...)
	}
	experiment, scores := t.experiment(m), len(plan.Scores)
	for _, run := range parentsFirst(runs) {
		run.Experiment = experiment
		plan.Runs = append(plan.Runs, run)
	}
	if out, ok := t.translate(jobs, m, plan); ok {
		out.Experiment = experiment
		plan.Traces = append(plan.Traces, out)
	}
	t.misplaced(plan)
	t.ownerless(m, plan)
	t.scores(m, plan)
	for i := range plan.Scores[scores:] {
		plan.Scores[scores+i].Experiment = experiment
	}
}

// experiment is the one of the whole trace, since MLflow takes a trace in one only, and a run below
// one of its own: that of the job that is its root, or else of the first job, stage or other span.
func (t *trace) experiment(m Mapping) string {
	if i, ok := t.index[t.root]; ok {
		return m.experiment(t.spans[i])
	}
	for _, kind := range []Kind{Job, Stage, Member, Started, Detail, Feedback} {
		if of := t.of(kind); len(of) > 0 {
			return m.experiment(of[0])
		}
	}
	return ""
}

// stagesOf returns the stages that hang under the run with the given key.
func stagesOf(stages []Span, runs []Run, key string) []Span {
	var found []Span
	for i, s := range stages {
		if runs[i].ParentKey == key {
			found = append(found, s)
		}
	}
	return found
}

// jobKey is the trace id for a job that is the root of its trace, and trace id and span
// id for one that hangs under something else, or started after another root.
func (t *trace) jobKey(s Span) string {
	if s.Span.ParentSpanID().IsEmpty() && s.Span.SpanID() == t.root {
		return wire.JobKey(t.id)
	}
	return t.stageKey(s)
}

func (t *trace) stageKey(s Span) string { return wire.StageKey(t.id, wire.SpanID(s.Span.SpanID())) }

// parentKey is the key of the nearest job or stage above a span, "" when the batch holds
// none. The way up ends where a span is missing from the batch, so applications that nest
// selected spans more than one level deep must send them together.
func (t *trace) parentKey(s Span) string {
	switch above, ok := t.above(s); {
	case !ok:
		return ""
	case above.Kind == Job:
		return t.jobKey(above)
	default:
		return t.stageKey(above)
	}
}

// above is the nearest job or stage above a span.
func (t *trace) above(s Span) (Span, bool) {
	for !t.circular[s.Span.SpanID()] { // each step leads up, so this ends
		i, ok := t.index[s.Span.ParentSpanID()]
		if !ok {
			break
		}
		if s = t.spans[i]; s.Kind == Job || s.Kind == Stage {
			return s, true
		}
	}
	return Span{}, false
}

// circles finds the spans that are above themselves, which no tracer writes on purpose.
func (t *trace) circles() map[pcommon.SpanID]bool {
	var found map[pcommon.SpanID]bool
	walk := make([]int, len(t.spans)) // the walk up that met a span first, from 1
	for i := range t.spans {
		at, ok := i, true
		for ok && walk[at] == 0 {
			walk[at] = i + 1
			at, ok = t.index[t.spans[at].Span.ParentSpanID()]
		}
		if !ok || walk[at] != i+1 {
			continue
		}
		if found == nil {
			found = map[pcommon.SpanID]bool{}
		}
		t.cut(at, found)
	}
	return found
}

// cut adds the spans of one circle that count as having no parent.
func (t *trace) cut(at int, found map[pcommon.SpanID]bool) {
	circle := map[Kind][]pcommon.SpanID{}
	for i := at; ; {
		s := t.spans[i]
		circle[s.Kind] = append(circle[s.Kind], s.Span.SpanID())
		if i = t.index[s.Span.ParentSpanID()]; i == at {
			break
		}
	}
	for _, kind := range []Kind{Job, Stage, Detail, Member, Started, Feedback} {
		if len(circle[kind]) > 0 {
			for _, id := range circle[kind] {
				found[id] = true
			}
			return
		}
	}
}

// parentsFirst orders runs so that each comes after the run it hangs under.
func parentsFirst(runs []Run) []Run {
	byKey := make(map[string]int, len(runs))
	for i, r := range runs {
		byKey[r.Key] = i
	}
	ordered := make([]Run, 0, len(runs))
	placed := make([]bool, len(runs))
	var place func(i int)
	place = func(i int) {
		if placed[i] {
			return
		}
		placed[i] = true
		if p, ok := byKey[runs[i].ParentKey]; ok {
			place(p)
		}
		ordered = append(ordered, runs[i])
	}
	for i := range runs {
		place(i)
	}
	return ordered
}
