package wire

//go:generate go run ./wiregen

import "slices"

// Kind says what an Entry names.
type Kind string

// The kinds, in the order of docs/WIRE.md.
const (
	KindSpan     Kind = "span"
	KindResource Kind = "resource attribute"
	KindAttr     Kind = "attribute"
	KindValue    Kind = "value"
	KindEvent    Kind = "event"
	KindArtifact Kind = "artifact"
	KindMetric   Kind = "metric"
	KindParam    Kind = "MLflow param"
	KindTag      Kind = "MLflow tag"
	KindRunValue Kind = "MLflow metric"
	KindTraceTag Kind = "MLflow trace tag"
)

// Scope says on which MLflow runs a param, tag or metric is found.
type Scope string

// The scopes.
const (
	OnJob   Scope = "job run"
	OnStage Scope = "stage run"
	OnBoth  Scope = "job run and stage run"
	OnTrace Scope = "trace"
	// OnService is the run of a worker and a UTC day.
	OnService Scope = "service run"
	// OnEvaluation is the run of an evaluation.
	OnEvaluation Scope = "evaluation run"
)

// Entry describes one name of the seam.
type Entry struct {
	Kind    Kind
	Name    string
	Type    string // type and unit; for an MLflow name the runs that hold it
	Meaning string // one sentence
	From    string // who writes it; for an MLflow name the attribute it is made from
	To      string // who reads it
	Test    string // the test function that pins it
	Later   bool   // reserved: the bridge does not write it yet
}

// Catalog lists every name of the seam by kind, in reading order.
func Catalog() []Entry {
	return slices.Concat(spans, evaluationSpans, resources, jobAttributes, stageAttributes, rootAttributes, evaluationAttributes,
		genAIAttributes, httpAttributes, eventAttributes, metricAttributes, values, evaluationValues, events, artifacts, evaluationArtifacts,
		instruments, mlflowParams, evaluationParams, mlflowTags, evaluationTags, mlflowMetrics, evaluationMetrics,
		mlflowTraceTags, evaluationTraceTags)
}

// Find returns the entry of a name.
func Find(kind Kind, name string) (Entry, bool) {
	i := slices.IndexFunc(Catalog(), func(e Entry) bool { return e.Kind == kind && e.Name == name })
	if i < 0 {
		return Entry{}, false
	}
	return Catalog()[i], true
}
