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

// runName is "<day> <instance> <service>", with the first group of an instance that is a UUID. A list of
// runs shows the beginning of a name, and what tells runs apart has to be there.
func (id identity) runName(day string) string {
	instance := id.instance
	if len(instance) == 36 && strings.Count(instance, "-") == 4 {
		instance, _, _ = strings.Cut(instance, "-")
	}
	if runes := []rune(instance); len(runes) > 40 {
		instance = string(runes[:40])
	}
	return strings.Join(strings.Fields(day+" "+instance+" "+id.service), " ")
}

// note describes the run of a day in Markdown: what it is of, and how its charts are read.
func (id identity) note(day string) string {
	of := "Metrics of " + code(id.service)
	if id.instance != "" {
		of += ", instance " + code(id.instance)
	}
	return of + ", on " + day + " (UTC).\n\n" + howToRead
}

const howToRead = "- One step is a minute of the UTC day.\n" +
	"- The commentator's durations are in seconds and its sizes in bytes; those of another service are in the units that it sends.\n" +
	"- `count`, `mean`, `p50`, `p95` and `p99` are of what came since the point before; where it says that nothing came, a `count` of 0 begins and ends the gap.\n" +
	"- The names are those that the service gives. The commentator's are explained in its docs/WIRE.md, section Metrics."

// code makes text show as it is written in Markdown, in one line. The exporter replaces {{…}} in descriptions.
func code(text string) string {
	text = strings.ReplaceAll(values.Clean(text, 250), "`", "'")
	return "`" + strings.Join(strings.Fields(values.PullApart(text, " ")), " ") + "`"
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
