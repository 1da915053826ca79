package reduce

import (
	"cmp"
	"slices"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/internal/wire"
)

// The values of Mapping.Layout.
const (
	// LayoutNested gives each stage a run below that of its job; it is what "" means too.
	LayoutNested = "nested"
	// LayoutFlat gives each job one run that holds its stages as Parts.
	LayoutFlat = "flat"
)

const (
	tagStage  = "stage"  // the name of a stage
	tagStatus = "status" // how a stage ended, in the flat layout
)

// Part is what a stage adds to the run of its job in the flat layout. All names begin with
// that of the stage and a slash.
type Part struct {
	ID      string // hex span id of the stage
	Name    string // of the stage, with those of the stages above it, joined by slashes
	Version Version

	Params    []KeyValue
	Tags      []KeyValue
	Metrics   []Metric
	Artifacts []Artifact
	Datasets  []Dataset
	Why       map[string]string // as in Run
}

// ownerKey is the key of the run that holds a stage in the flat layout: the nearest job
// above it in the batch, or else the job that is the root of the trace.
func (t *trace) ownerKey(s Span) string {
	for {
		above, ok := t.above(s)
		if !ok {
			break
		}
		if above.Kind == Job {
			return t.jobKey(above)
		}
		s = above
	}
	return wire.JobKey(t.id)
}

// partName is the name of a stage behind those of the stages above it in the batch.
func (t *trace) partName(s Span, names map[string]string) string {
	parts := []string{keyPart(names[s.Span.SpanID().String()])}
	for {
		above, ok := t.above(s)
		if !ok || above.Kind == Job {
			break
		}
		parts = append(parts, keyPart(names[above.Span.SpanID().String()]))
		s = above
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// partNames are the names under which the flat layout has stages, empty in another layout.
func (t *trace) partNames(stages []Span, m Mapping) []string {
	if m.Layout != LayoutFlat {
		return make([]string, len(stages))
	}
	names := map[string]string{}
	for _, s := range stages {
		name, _ := m.stage(s).nameOf(m.shown(s))
		if blank(name) {
			name = t.stageKey(s)
		}
		names[s.Span.SpanID().String()] = name
	}
	parts := make([]string, len(stages))
	for i, s := range stages {
		parts[i] = t.partName(s, names)
	}
	return parts
}

// flatten moves what stages say into the runs that hold them, under the names of the parts.
func (t *trace) flatten(runs []Run, stages []Span, stageRuns []Run, parts []string) {
	at := map[string]int{}
	for i, r := range runs {
		at[r.Key] = i
	}
	for i, s := range stages {
		owner := &runs[at[stageRuns[i].ParentKey]]
		owner.Parts = append(owner.Parts, partOf(s, stageRuns[i], parts[i]))
		if !owner.Implied { // else the job's own span would take the others back
			owner.Prompts = united(owner.Prompts, stageRuns[i].Prompts)
		}
	}
	for _, r := range runs {
		// In the order of their ends, so that of two attempts the later one is written last.
		slices.SortStableFunc(r.Parts, func(a, b Part) int {
			return cmp.Or(cmp.Compare(a.Version.EndUnixNano, b.Version.EndUnixNano), cmp.Compare(a.Version.Hash, b.Version.Hash))
		})
	}
}

func partOf(s Span, r Run, name string) Part {
	p := Part{ID: s.Span.SpanID().String(), Name: name, Version: r.Version, Datasets: r.Datasets}
	for _, kv := range r.Params {
		p.Params = append(p.Params, KeyValue{keys.Under(name, kv.Key), kv.Value})
	}
	for _, kv := range r.Tags {
		// The job's run says these itself; the name of the stage is in the prefix.
		if slices.Contains(sourceTags, kv.Key) || kv.Key == wire.TagTraceID || (kv.Key == tagStage && kv.Value == r.Name) {
			continue
		}
		p.Tags = append(p.Tags, KeyValue{keys.Under(name, kv.Key), kv.Value})
	}
	p.Tags = append(p.Tags, KeyValue{keys.Under(name, tagStatus), r.Status})
	for _, m := range r.Metrics {
		m.Key = keys.Under(name, m.Key)
		p.Metrics = append(p.Metrics, m)
	}
	for _, a := range r.Artifacts {
		a.Path = name + "/" + a.Path
		p.Artifacts = append(p.Artifacts, a)
	}
	if r.Why != nil {
		p.Why = map[string]string{}
	}
	for what, rule := range r.Why {
		kind, key, _ := strings.Cut(what, " ")
		if kind == "name" {
			continue // a part has its own in that of everything else
		}
		p.Why[kind+" "+keys.Under(name, key)] = rule
	}
	return p
}

// maxKeyPart bounds the name of a stage where it begins other names, in characters.
const maxKeyPart = 60

// keyPart makes a name that can be one step of the path of a metric or an artifact.
func keyPart(name string) string {
	return cmp.Or(keys.Step(name, maxKeyPart, "-. "), "stage")
}
