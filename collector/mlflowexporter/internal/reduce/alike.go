package reduce

import (
	"maps"
	"slices"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/internal/wire"
)

// alike sorts the names of params: the first list has one of those that are one name to MLflow, which is
// the name itself if it is among them, or else the first; the second has the others.
func alike(params map[string]string) (kept, others []string) {
	taken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		key := keys.Clean(name)
		_, exact := params[key]
		if taken[key] || (exact && key != name) {
			others = append(others, name)
			continue
		}
		taken[key] = true
		kept = append(kept, name)
	}
	return kept, others
}

// conflicts names the others of alike that get lost because the kept one of their name has another value.
func (b *builder) conflicts(kept, others []string) {
	written := map[string]string{}
	for _, name := range kept {
		written[keys.Clean(name)] = b.params[name]
	}
	var lost []string
	for _, name := range others {
		key := keys.Clean(name)
		if key == "" || written[key] == b.params[name] {
			continue
		}
		lost = append(lost, key)
		b.dropped = append(b.dropped, Drop{
			TraceID: b.span.Span.TraceID().String(), Reason: DropParamConflict,
			Detail: b.span.Span.Name() + ": param " + name + " is " + key + " to MLflow, as another one is",
		})
	}
	b.tagIf(wire.TagParamConflict, strings.Join(slices.Compact(lost), ", "))
}
