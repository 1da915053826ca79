package reduce

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/pricing"
	"github.com/technoshare/commentator/internal/wire"
)

// Mapping says how attributes of selected spans become params, tags and metrics of
// MLflow runs. It comes from the exporter's configuration.
type Mapping struct {
	Job   RunMapping
	Stage RunMapping
	// OtherJob and OtherStage are for spans with Other set.
	OtherJob   RunMapping
	OtherStage RunMapping
	// Member is for traces that belong to the run of another trace: Name is that of the trace,
	// and of the rules those with a trace_tag count.
	Member RunMapping
	// SpanTypes gives the MLflow span type of spans by their name. It applies to spans
	// that say nothing themselves by mlflow.spanType, gen_ai.operation.name or one of kinds.
	SpanTypes map[string]string
	// Layout is LayoutNested or LayoutFlat.
	Layout string
	// Artifacts says which artifacts are written; nil: all.
	Artifacts *ArtifactFilter
	// ExperimentAttribute is the resource attribute with the name of the experiment; empty:
	// experiment.name.
	ExperimentAttribute string
	// Prices are what models cost; nil: nothing is known.
	Prices *pricing.Table
}

// job is the mapping for the run of a job, and for the run that a stage or a message implies.
func (m Mapping) job(s Span) RunMapping {
	if s.Kind == Member {
		return m.Member
	}
	if s.Other {
		return m.OtherJob
	}
	return m.Job
}

func (m Mapping) stage(s Span) RunMapping {
	if s.Other {
		return m.OtherStage
	}
	return m.Stage
}

// shown is a span without what must go nowhere: what the rules of its kind drop, or, of a span that
// has no rules, those of any kind.
func (m Mapping) shown(s Span) Span {
	switch s.Kind {
	case Job, Member:
		return m.job(s).without(s)
	case Stage:
		return m.stage(s).without(s)
	}
	for _, one := range []*RunMapping{&m.Job, &m.Stage, &m.OtherJob, &m.OtherStage, &m.Member} {
		s = one.without(s)
	}
	return s
}

// experiment is the experiment that a span's resource asks for, "" for the default one. A blank name
// is none: nobody would find the experiment.
func (m Mapping) experiment(s Span) string {
	name := values.Clean(s.resourceText(cmp.Or(m.ExperimentAttribute, wire.ResExperiment)), maxName)
	if blank(name) {
		return ""
	}
	return name
}

// RunMapping describes the runs of one kind of span.
type RunMapping struct {
	// Name is the template of the run's name: text in which {{attribute}} is replaced
	// by the attribute of that name, of the span or else of its resource.
	Name string
	// Rules are applied in order; a span without the attribute is left alone. Of two that set
	// one name the later wins.
	Rules []Rule
	// Tags are fixed tags of every run of this kind.
	Tags map[string]string
	// Explain is the name of this mapping when runs shall say why they have what they have,
	// see Run.Why; empty otherwise.
	Explain string
	// Costs tell where to find what the run's model calls used. Without one that applies,
	// the span's own gen_ai.usage.* and model are taken.
	Costs []CostSource
	// Prompts tell where to find which prompts were used.
	Prompts []PromptSource
}

// Validate joins everything that is wrong with the mapping.
func (m Mapping) Validate() error {
	return errors.Join(m.Job.validate("job"), m.Stage.validate("stage"), m.OtherJob.validate("other_job"), m.OtherStage.validate("other_stage"), m.Member.validate("member"))
}

func (m RunMapping) validate(kind string) error {
	var errs []error
	if strings.TrimSpace(m.Name) == "" {
		errs = append(errs, fmt.Errorf("`mapping::%s::name` must not be empty: give a template such as \"job_{{job.id}}\"", kind))
	} else if err := checkTemplate(m.Name); err != nil {
		errs = append(errs, fmt.Errorf("`mapping::%s::name`: %w", kind, err))
	}
	for i, r := range m.Rules {
		at := fmt.Sprintf("`mapping::%s::rules[%d]`", kind, i)
		errs = append(errs, r.validate(at))
		if r.TraceTag != "" && r.Param+r.Tag+r.Metric == "" && strings.HasSuffix(kind, "stage") {
			errs = append(errs, fmt.Errorf("%s: `trace_tag` alone does nothing: a trace has the tags of its job, so move the rule there, or set `tag`", at))
		}
		if kind == "member" && r.Attribute != "" && r.TraceTag == "" && !r.Drop && r.Metric != metricCost && !slices.Contains(sourceTags, r.Tag) {
			errs = append(errs, fmt.Errorf("%s: a member has a trace and no run, so only `trace_tag`, a `tag` of %s, and the `metric` %s count: set one, or remove the rule", at, strings.Join(sourceTags, ", "), metricCost))
		}
	}
	for i, c := range m.Costs {
		if c.Model == "" || c.Usage == "" {
			errs = append(errs, fmt.Errorf("`mapping::%s::costs[%d]`: `model` must name the attribute with the model and `usage` begin the names of the token counts, such as gen_ai.usage", kind, i))
		}
	}
	for i, p := range m.Prompts {
		if p.Name == "" || p.SHA256 == "" {
			errs = append(errs, fmt.Errorf("`mapping::%s::prompts[%d]`: `name` must name the attribute with the prompt's name and `sha256` the one with the hash of its text", kind, i))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
		switch {
		case ownTag(key):
			errs = append(errs, fmt.Errorf("`mapping::%s::tags` must not hold %q, which the exporter or MLflow sets itself: remove it, or choose another name", kind, key))
		case !validKey(key):
			errs = append(errs, fmt.Errorf("`mapping::%s::tags`: name %q would be changed: use letters, digits, _ - . space : /, at most %d characters", kind, key, keys.Max))
		}
	}
	return errors.Join(errs...)
}
