package service

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/patterns"
)

// Rule chooses metrics by name and says which of their attributes tell one MLflow metric
// from another. Points that differ in other attributes only are added up; of gauges the
// greatest is taken.
type Rule struct {
	// Name is the name of a metric, or a pattern in which * stands for any text without
	// a slash.
	Name string `mapstructure:"name"`
	// By lists attributes whose values become part of the name, in this order.
	By []string `mapstructure:"by"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// Validate implements xconfmap.Validator.
func (r *Rule) Validate() error {
	var errs []error
	if r.Name == "" {
		errs = append(errs, errors.New("`name` must be the name of a metric, or a pattern such as process.*"))
	}
	if _, err := path.Match(r.Name, ""); err != nil {
		errs = append(errs, fmt.Errorf("`name`: %q is no pattern: close the bracket, or write \\[", r.Name))
	} else if err := patterns.CheckRanges(r.Name); err != nil {
		errs = append(errs, fmt.Errorf("`name`: %w", err))
	}
	if slices.Contains(r.By, "") {
		errs = append(errs, errors.New("`by` must not hold an empty name: remove it"))
	}
	return errors.Join(errs...)
}

// Validate refuses rules that never decide, because one before them does.
func Validate(rules []Rule) error {
	var errs []error
	for i, r := range rules {
		if at := slices.IndexFunc(rules[:i], func(before Rule) bool { return before.covers(r) }); at >= 0 {
			errs = append(errs, fmt.Errorf("`metrics[%d]`: %q is chosen by %q before it, and the first that matches decides: put it in front, or remove it", i, r.Name, rules[at].Name))
		}
	}
	return errors.Join(errs...)
}

// covers reports whether a rule surely chooses all that another one does. Of patterns with ? or a
// class matching one with the other does not tell.
func (r Rule) covers(other Rule) bool {
	if r.Name == other.Name {
		return true
	}
	ok, err := path.Match(r.Name, other.Name)
	return ok && err == nil && !strings.ContainsAny(r.Name+other.Name, `?[\`)
}

func ruleFor(rules []Rule, name string) *Rule {
	for i := range rules {
		if ok, err := path.Match(rules[i].Name, name); ok && err == nil {
			return &rules[i]
		}
	}
	return nil
}

// systemPrefixes begin the names of metrics about a process, its runtime and its machine.
// MLflow shows what is named system/… apart from the rest.
var systemPrefixes = []string{
	"process.", "runtime.", "system.", "container.", "k8s.",
	"go.", "jvm.", "cpython.", "nodejs.", "v8js.", "dotnet.",
}

// key is the name of the MLflow metric of a point.
func (r *Rule) key(name string, attrs pcommon.Map) string {
	var b strings.Builder
	if slices.ContainsFunc(systemPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
		b.WriteString("system/")
	}
	b.WriteString(name)
	for _, attr := range r.By {
		if v, ok := attrs.Get(attr); ok && v.AsString() != "" {
			b.WriteByte('/')
			b.WriteString(strings.ReplaceAll(v.AsString(), "/", "_"))
		}
	}
	return b.String()
}

// streamKey tells the streams of a process apart.
func streamKey(scope, name string, attrs pcommon.Map) string {
	pairs := make([]string, 0, attrs.Len())
	for k, v := range attrs.All() {
		pairs = append(pairs, k+"\x00"+v.AsString())
	}
	slices.Sort(pairs)
	return scope + "\x00" + name + "\x00" + strings.Join(pairs, "\x00")
}
