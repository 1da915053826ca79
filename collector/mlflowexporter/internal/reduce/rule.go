package reduce

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/internal/wire"
)

// wildcard stands for any text in the attribute of a rule, and for that text in its targets.
const wildcard = "*"

// Rule carries one attribute over to MLflow, or all whose names match a pattern with one *.
// At least one target must be set, or Drop.
type Rule struct {
	Attribute string `mapstructure:"attribute"` // attribute of the span, or else of its resource; with *: of the span
	Param     string `mapstructure:"param"`     // name of the param to set
	Tag       string `mapstructure:"tag"`       // name of the run's tag to set
	Metric    string `mapstructure:"metric"`    // name of the metric; booleans become 0 and 1
	TraceTag  string `mapstructure:"trace_tag"` // name of the trace's tag to set; jobs and members
	// OmitZero leaves a metric out when it is 0, for counts that mean nothing then.
	OmitZero bool `mapstructure:"omit_zero"`
	// Drop keeps what matches, of span and resource, from going anywhere: to runs, their names,
	// or traces, whatever other rules say.
	Drop bool `mapstructure:"drop"`
}

func (r Rule) targets() []string { return []string{r.Param, r.Tag, r.Metric, r.TraceTag} }

func (r Rule) validate(at string) error {
	var errs []error
	wild := strings.Count(r.Attribute, wildcard)
	switch {
	case r.Attribute == "":
		errs = append(errs, fmt.Errorf("%s: `attribute` must name the attribute to carry over", at))
	case wild > 1:
		errs = append(errs, fmt.Errorf("%s: `attribute` %q has more than one *: write a rule for each pattern", at, r.Attribute))
	}
	set := slices.DeleteFunc(r.targets(), func(target string) bool { return target == "" })
	switch {
	case r.Drop && (len(set) > 0 || r.OmitZero):
		errs = append(errs, fmt.Errorf("%s: `drop` keeps the attribute from going anywhere: remove it, or the other keys", at))
	case !r.Drop && len(set) == 0:
		errs = append(errs, fmt.Errorf("%s: set at least one of `param`, `tag`, `metric`, `trace_tag`, or `drop: true`", at))
	case r.OmitZero && r.Metric == "":
		errs = append(errs, fmt.Errorf("%s: `omit_zero` speaks of a metric: set `metric`, or remove it", at))
	}
	for _, target := range set {
		switch {
		case !validKey(strings.ReplaceAll(target, wildcard, "x")):
			errs = append(errs, fmt.Errorf("%s: name %q would be changed: use letters, digits, _ - . space : /, at most %d characters", at, target, keys.Max))
		case wild == 0 && strings.Contains(target, wildcard):
			errs = append(errs, fmt.Errorf("%s: %q has a * and `attribute` has none: put one there, or write the name", at, target))
		case wild == 1 && strings.Count(target, wildcard) != 1:
			errs = append(errs, fmt.Errorf("%s: %q must have one *, which stands for what the one of `attribute` matches: otherwise several attributes would have one name", at, target))
		}
	}
	if ownTag(r.Tag) {
		errs = append(errs, fmt.Errorf("%s: `tag` must not be %q, which the exporter or MLflow sets itself: choose another name", at, r.Tag))
	}
	if ownTraceTag(r.TraceTag) {
		errs = append(errs, fmt.Errorf("%s: `trace_tag` must not be %q, which the exporter or MLflow sets itself: choose another name", at, r.TraceTag))
	}
	return errors.Join(errs...)
}

// match reports whether the rule speaks of an attribute, and for which text its * stands.
func (r Rule) match(attribute string) (rest string, ok bool) {
	before, after, wild := strings.Cut(r.Attribute, wildcard)
	if !wild {
		return "", attribute == r.Attribute
	}
	if len(attribute) <= len(before)+len(after) || !strings.HasPrefix(attribute, before) || !strings.HasSuffix(attribute, after) {
		return "", false
	}
	return attribute[len(before) : len(attribute)-len(after)], true
}

// named is the rule for one attribute that it matches.
func (r Rule) named(attribute, rest string) Rule {
	r.Attribute = attribute
	for _, target := range []*string{&r.Param, &r.Tag, &r.Metric, &r.TraceTag} {
		*target = strings.ReplaceAll(*target, wildcard, rest)
	}
	return r
}

// ownTags are tags by which the exporter and MLflow know runs, or that the exporter sets where they
// are due and else leaves out: a planted one would be taken for its word. No mapping sets them.
var ownTags = map[string]bool{
	wire.TagKey: true, wire.TagClaim: true, wire.TagTraceID: true, "mlflow.parentRunId": true, "mlflow.runName": true,
	wire.TagStale: true, wire.TagParamConflict: true, wire.TagUndelivered: true, wire.TagUnknownModel: true,
	wire.TagTruncated: true, wire.TagSkipped: true, wire.TagAltered: true, wire.TagPrompts: true,
}

// ownTraceTags are no tags of a trace either, beside those of runs: what it is called, which run it
// belongs to, where MLflow keeps its spans, and by which it hides a trace. From mlflow/tracing/constant.py.
var ownTraceTags = map[string]bool{
	"mlflow.traceName": true, "mlflow.sourceRun": true,
	"mlflow.trace.spansLocation": true, "mlflow.artifactLocation": true, "mlflow.trace.sourceScorer": true,
}

// ownTag reports whether a tag would be written under one of those names, as otel.key/ would, or as
// that of a verdict.
func ownTag(key string) bool {
	key = keys.Clean(key)
	return ownTags[key] || strings.HasPrefix(key, wire.TagFeedbackPrefix)
}

func ownTraceTag(key string) bool { return ownTag(key) || ownTraceTags[keys.Clean(key)] }

// applied is a rule that speaks of an attribute of a span.
type applied struct {
	Rule
	index int // in the list of rules
	value pcommon.Value
}

// apply gives the rules that speak of the attributes of a span without what is dropped, in order.
// A rule with a * leaves out attributes that another rule names.
func (m RunMapping) apply(s Span) []applied {
	var out []applied
	for i, r := range m.Rules {
		switch {
		case r.Drop:
		case !strings.Contains(r.Attribute, wildcard):
			if v, ok := s.lookup(r.Attribute); ok {
				out = append(out, applied{r, i, v})
			}
		default:
			found := map[string]applied{}
			for name, v := range s.Span.Attributes().All() {
				if rest, ok := r.match(name); ok && !m.named(name) {
					one := r.named(name, rest)
					if ownTag(one.Tag) {
						one.Tag = ""
					}
					if ownTraceTag(one.TraceTag) {
						one.TraceTag = ""
					}
					found[name] = applied{one, i, v}
				}
			}
			for _, name := range slices.Sorted(maps.Keys(found)) {
				out = append(out, found[name])
			}
		}
	}
	return out
}

// without is a span, and its resource, without what the rules drop.
func (m RunMapping) without(s Span) Span {
	if !slices.ContainsFunc(m.Rules, func(r Rule) bool { return r.Drop }) {
		return s
	}
	found := func(attributes pcommon.Map) bool {
		for name := range attributes.All() {
			if m.dropped(name) {
				return true
			}
		}
		return false
	}
	drop := func(name string, _ pcommon.Value) bool { return m.dropped(name) }
	if found(s.Span.Attributes()) {
		kept := ptrace.NewSpan()
		s.Span.CopyTo(kept)
		kept.Attributes().RemoveIf(drop)
		s.Span = kept
	}
	if found(s.Resource.Attributes()) {
		kept := pcommon.NewResource()
		s.Resource.CopyTo(kept)
		kept.Attributes().RemoveIf(drop)
		s.Resource = kept
	}
	return s
}

// dropped reports whether a rule keeps an attribute from going anywhere.
func (m RunMapping) dropped(attribute string) bool {
	return slices.ContainsFunc(m.Rules, func(r Rule) bool {
		if !r.Drop {
			return false
		}
		_, ok := r.match(attribute)
		return ok
	})
}

// named reports whether a rule without a * speaks of an attribute.
func (m RunMapping) named(attribute string) bool {
	return slices.ContainsFunc(m.Rules, func(r Rule) bool { return r.Attribute == attribute })
}
