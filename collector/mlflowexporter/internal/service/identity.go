package service

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/wire"
)

// identity tells one process from another.
type identity struct {
	service, instance string
	hash              string
}

// identify reads service.name and service.instance.id, or host.name where there is no
// instance.
func identify(res pcommon.Resource) identity {
	id := identity{
		service:  cmp.Or(text(res, wire.ResServiceName), "unknown_service"),
		instance: cmp.Or(text(res, wire.ResServiceInstanceID), text(res, resHostName)),
	}
	sum := sha256.Sum256([]byte("technoshare/service/1\n" + id.service + "\n" + id.instance))
	id.hash = hex.EncodeToString(sum[:16])
	return id
}

const resHostName = "host.name"

// runName is "<service> <instance> <day>", with the first group of an instance that is a
// UUID.
func (id identity) runName(day string) string {
	instance := id.instance
	if len(instance) == 36 && strings.Count(instance, "-") == 4 {
		instance, _, _ = strings.Cut(instance, "-")
	}
	if runes := []rune(instance); len(runes) > 40 {
		instance = string(runes[:40])
	}
	return strings.Join(strings.Fields(id.service+" "+instance+" "+day), " ")
}

// maxExperiment is the longest name of an experiment, in characters: the databases behind MLflow
// take 256, and jobs' experiments are cut to this.
const maxExperiment = 250

// experiment appends the suffix to the name of the experiment of the jobs, which is cleaned as
// theirs is, and otherwise when it is blank.
func experiment(name, otherwise, suffix string) string {
	if strings.TrimSpace(values.Clean(name, 0)) == "" {
		name = otherwise
	}
	return values.Clean(name, maxExperiment-utf8.RuneCountInString(suffix)) + suffix
}

// tags describe the process, as MLflow's SDK would where it has a name for it.
func (id identity) tags(res pcommon.Resource) []Tag {
	tags := []Tag{
		{"component", "service"},
		{wire.ResServiceName, id.service},
		{wire.ResServiceInstanceID, id.instance},
		{wire.ResServiceVersion, text(res, wire.ResServiceVersion)},
		{wire.ResEnvironment, text(res, wire.ResEnvironment)},
		{"mlflow.user", text(res, wire.ResProcessOwner)},
		{"mlflow.source.name", cmp.Or(text(res, wire.ResExecutableName), id.service)},
		{"mlflow.source.type", "LOCAL"},
		{"mlflow.source.git.commit", text(res, wire.ResRevision)},
	}
	tags = slices.DeleteFunc(tags, func(t Tag) bool { return t.Value == "" })
	slices.SortFunc(tags, func(x, y Tag) int { return cmp.Compare(x.Key, y.Key) })
	return tags
}

func text(res pcommon.Resource, name string) string {
	v, ok := res.Attributes().Get(name)
	if !ok {
		return ""
	}
	return v.AsString()
}
