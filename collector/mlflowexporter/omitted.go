package mlflowexporter

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
)

const (
	// omittedInterval is how long a metric is not named again: what cannot be written comes with
	// every export of its process, once a minute or more often.
	omittedInterval = time.Hour
	// maxOmitted bounds the metrics that are named in that time, should their names be made up.
	maxOmitted = 1000
)

// omitted remembers of which metrics it was said that points of them are left out.
type omitted struct {
	since time.Time // when said was empty
	said  map[service.Drop]bool
}

// log names metrics that were not named for long, in one line for each process and reason.
func (o *omitted) log(log *zap.Logger, drops map[service.Drop]bool, now time.Time) {
	if o.said == nil || now.Sub(o.since) >= omittedInterval {
		o.since, o.said = now, map[service.Drop]bool{}
	}
	names := map[service.Drop][]string{} // by what they have in common
	for _, d := range slices.SortedFunc(maps.Keys(drops), byProcess) {
		if o.said[d] || len(o.said) >= maxOmitted {
			continue
		}
		o.said[d] = true
		line := d
		line.Metric = ""
		names[line] = append(names[line], d.Metric)
	}
	for _, line := range slices.SortedFunc(maps.Keys(names), byProcess) {
		log.Warn("Points of these metrics are left out of the service run; named once an hour",
			zap.String("reason", line.Reason), zap.String("service", line.Service), zap.String("instance", line.Instance), zap.Strings("metrics", names[line]))
	}
}

func byProcess(x, y service.Drop) int {
	return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Instance, y.Instance), cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.Metric, y.Metric))
}
