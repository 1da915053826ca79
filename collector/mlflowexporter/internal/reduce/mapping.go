package reduce

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/pricing"
	"github.com/technoshare/commentator/internal/wire"
)

// Mapping says how attributes of selected spans become params, tags and metrics of
// MLflow runs. It comes from the exporter's configuration.
type Mapping struct {
	Job   RunMapping
	Stage RunMapping
	// SpanTypes gives the MLflow span type of spans by their name. It applies to spans
	// that say nothing themselves by mlflow.spanType or gen_ai.operation.name.
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

// experiment is the experiment that a span's resource asks for, "" for the default one.
func (m Mapping) experiment(s Span) string {
	return clean(s.resourceText(cmp.Or(m.ExperimentAttribute, wire.ResExperiment)), maxName)
}

// RunMapping describes the runs of one kind of span.
type RunMapping struct {
	// Name is the template of the run's name: text in which {{attribute}} is replaced
	// by the attribute of that name, of the span or else of its resource.
	Name string
	// Rules are applied in order; a span without the attribute is left alone.
	Rules []Rule
	// Tags are fixed tags of every run of this kind.
	Tags map[string]string
	// Costs tell where to find what the run's model calls used. Without one that applies,
	// the span's own gen_ai.usage.* and model are taken.
	Costs []CostSource
}

// Rule carries one attribute over to MLflow. At least one target must be set.
type Rule struct {
	Attribute string `mapstructure:"attribute"` // attribute of the span, or else of its resource
	Param     string `mapstructure:"param"`     // name of the param to set
	Tag       string `mapstructure:"tag"`       // name of the run's tag to set
	Metric    string `mapstructure:"metric"`    // name of the metric; booleans become 0 and 1
	TraceTag  string `mapstructure:"trace_tag"` // name of the trace's tag to set; jobs only
	// OmitZero leaves a metric out when it is 0, for counts that mean nothing then.
	OmitZero bool `mapstructure:"omit_zero"`
}

// Validate joins everything that is wrong with the mapping.
func (m Mapping) Validate() error {
	return errors.Join(m.Job.validate("job"), m.Stage.validate("stage"))
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
		if r.Attribute == "" {
			errs = append(errs, fmt.Errorf("%s: `attribute` must name the attribute to carry over", at))
		}
		if r.Param == "" && r.Tag == "" && r.Metric == "" && r.TraceTag == "" {
			errs = append(errs, fmt.Errorf("%s: set at least one of `param`, `tag`, `metric`, `trace_tag`", at))
		}
		for _, key := range []string{r.Param, r.Tag, r.Metric, r.TraceTag} {
			if key != "" && !validKey(key) {
				errs = append(errs, fmt.Errorf("%s: MLflow takes no name %q: use letters, digits, _ - . space : /, at most %d characters", at, key, maxKey))
			}
		}
	}
	for i, c := range m.Costs {
		if c.Model == "" || c.Usage == "" {
			errs = append(errs, fmt.Errorf("`mapping::%s::costs[%d]`: `model` must name the attribute with the model and `usage` begin the names of the token counts, such as gen_ai.usage", kind, i))
		}
	}
	for key := range m.Tags {
		if !validKey(key) {
			errs = append(errs, fmt.Errorf("`mapping::%s::tags`: MLflow takes no name %q: use letters, digits, _ - . space : /, at most %d characters", kind, key, maxKey))
		}
	}
	return errors.Join(errs...)
}
