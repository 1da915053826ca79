package reduce

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/wire"
)

// member is the root of a trace that belongs to the run of another trace, when the batch holds
// it.
func (t *trace) member() (Span, bool) {
	members := t.of(Member)
	if len(members) == 0 {
		return Span{}, false
	}
	return members[0], true
}

// owner is the trace id of the run that a member belongs to, which is that run's key. It may be
// written in capitals, and with the dashes of a UUID.
func (s Span) owner() (string, bool) {
	id := strings.ToLower(strings.ReplaceAll(s.text(wire.AttrRunTraceID), "-", ""))
	return id, validTraceID(id)
}

// ownerless says of a member that tells no id of a trace that its trace belongs to no run.
func (t *trace) ownerless(m Mapping, plan *Plan) {
	s, ok := t.member()
	if !ok {
		return
	}
	if _, ok := s.owner(); ok || s.text(wire.AttrRunTraceID) == "" {
		return
	}
	plan.Dropped = append(plan.Dropped, Drop{
		TraceID: t.id.String(), Reason: DropInvalidID,
		Detail: fmt.Sprintf("%s: %s is %q, which is no trace id of 32 hex digits", s.Span.Name(), wire.AttrRunTraceID, values.Clean(m.shown(s).text(wire.AttrRunTraceID), maxName)),
	})
}

func validTraceID(id string) bool {
	if len(id) != 2*len(wire.TraceID{}) {
		return false
	}
	zero := true
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
		zero = zero && r == '0'
	}
	return !zero
}

// owners adds the runs that the members of a plan belong to, as far as the plan does not have
// them: such a run exists as RUNNING until its own span comes, so that nothing has to wait for
// it and the order in which spans arrive decides nothing.
func owners(members []Span, m Mapping, plan *Plan) {
	known := map[string]bool{}
	for _, r := range plan.Runs {
		known[r.Key] = true
	}
	added := map[string]int{}
	for _, s := range members {
		key, ok := s.owner()
		if !ok || known[key] {
			continue
		}
		run := ownerRun(s, key, m)
		if i, ok := added[key]; ok {
			plan.Runs[i].StartTime = min(plan.Runs[i].StartTime, run.StartTime)
			plan.Runs[i].StartGuessed = plan.Runs[i].StartGuessed || run.StartGuessed
			continue
		}
		added[key] = len(plan.Runs)
		plan.Runs = append(plan.Runs, run)
	}
}

// ownerRun is the run that a member belongs to, as far as the member knows it.
func ownerRun(s Span, key string, m Mapping) Run {
	b := newBuilder(m.shown(s), RunMapping{Name: m.Member.Name, Tags: m.Member.Tags, Explain: m.Member.Explain})
	b.name = values.Clean(cmp.Or(b.span.text(wire.AttrRunTraceName), b.span.resourceText(wire.ResServiceName), key), maxName)
	b.tags[wire.TagTraceID] = key
	run := b.run(key, "")
	run.TraceID = key
	run.Experiment = m.experiment(s)
	us, told := s.integer(wire.AttrStartedAt)
	if run.StartGuessed = !told; told {
		run.StartTime = us / 1000
	}
	run.Implied = true
	return run
}

// WhyTraceTags names the rules behind the tags of a member's trace, as Run.Why does.
func (m Mapping) WhyTraceTags(s Span) map[string]string { return newBuilder(s, m.Member).why }

// membersOf are the members among the spans of all traces of a batch, by trace and start.
func membersOf(groups []*trace) (all []Span) {
	for _, t := range groups {
		if s, ok := t.member(); ok {
			all = append(all, s)
		}
	}
	return slices.Clip(all)
}
