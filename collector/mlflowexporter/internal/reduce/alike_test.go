package reduce

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/internal/wire"
)

// Of params that are one name to MLflow the same one stays each time, and what is lost is told.
func TestParamsThatBecomeOne(t *testing.T) {
	b := builder{span: newSpan(t, Job, "train", 0, nil), tags: map[string]string{}, params: map[string]string{
		"p?": "1", "p_": "2", "p!": "3", // the name itself stays
		"q?": "1", "q!": "2", // else the first
		"a/../b": "1", "a//b": "1", "a/b": "1", // the same value: nothing is lost
		"..": "1", "//": "2", "alone?": "1", // no names; no other
	}}
	b.conflicts(alike(b.params))
	if diff := cmp.Diff(map[string]string{wire.TagParamConflict: "p_, q_"}, b.tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	var lost []string
	for _, d := range b.dropped {
		if d.Reason != DropParamConflict || d.TraceID == "" {
			t.Errorf("%+v", d)
		}
		lost = append(lost, d.Detail)
	}
	if diff := cmp.Diff([]string{"train: param p! is p_ to MLflow, as another one is", "train: param p? is p_ to MLflow, as another one is", "train: param q? is q_ to MLflow, as another one is"}, lost); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
	first := map[string]string{} // which is what MLflow gets
	for _, kv := range b.run("key", "").Params {
		if key := keys.Clean(kv.Key); first[key] == "" {
			first[key] = kv.Value
		}
	}
	if first["p_"] != "2" || first["q_"] != "2" || first["a/b"] != "1" || first["alone_"] != "1" {
		t.Errorf("written %v", first)
	}
}
