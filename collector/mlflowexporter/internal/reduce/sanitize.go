package reduce

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
)

// Limits of MLflow 3.17 in characters. What is longer is refused by Postgres and stored
// whole by SQLite, so it is cut here for every server alike. mlflow/utils/validation.py
// and the widths of the SQL columns are the source.
const (
	maxParam      = 6000
	maxTag        = 8000
	maxName       = 250
	maxSpanType   = 500
	maxTraceValue = 250 // session, user
	maxPreview    = 1000
	maxMetadata   = 250 // longer values are stored, but MLflow's REST answers show 250
)

// validKey reports whether the text is written as it is as name of a param, tag or metric.
func validKey(key string) bool { return key != "" && keys.Clean(key) == key }

// maxDepth is how deep a value may be nested. A reader of protobuf takes messages that are
// nested 100 deep, MLflow's too; a map in a map takes three of them, the span around it eight.
const maxDepth = 24

// cleanMap removes what is refused from every key and text of a map. Of keys that become
// alike the first one is kept.
func cleanMap(m pcommon.Map) { cleanMapAt(m, 1) }

func cleanMapAt(m pcommon.Map, depth int) {
	dirty := false
	for k, v := range m.All() {
		dirty = dirty || unclean(k)
		cleanValue(v, depth)
	}
	if !dirty {
		return
	}
	renamed := pcommon.NewMap()
	renamed.EnsureCapacity(m.Len())
	for k, v := range m.All() {
		k = values.Clean(k, 0)
		if _, taken := renamed.Get(k); !taken {
			v.CopyTo(renamed.PutEmpty(k))
		}
	}
	renamed.MoveTo(m)
}

func cleanValue(v pcommon.Value, depth int) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if s := v.Str(); unclean(s) {
			v.SetStr(values.Clean(s, 0))
		}
	case pcommon.ValueTypeMap:
		if depth >= maxDepth {
			v.SetStr(values.Clean(v.AsString(), 0)) // as JSON
			return
		}
		cleanMapAt(v.Map(), depth+1)
	case pcommon.ValueTypeSlice:
		if depth >= maxDepth {
			v.SetStr(values.Clean(v.AsString(), 0))
			return
		}
		for _, e := range v.Slice().All() {
			cleanValue(e, depth+1)
		}
	}
}

func unclean(s string) bool { return strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) }

// wholeCost reports whether text is a cost in MLflow's form that needs no other: what is
// missing of its three figures counts as 0 there.
func wholeCost(s string) bool {
	var cost struct {
		Input  *float64 `json:"input_cost"`
		Output *float64 `json:"output_cost"`
		Total  *float64 `json:"total_cost"`
	}
	return numbersOnly(s, false) && json.Unmarshal([]byte(s), &cost) == nil && cost.Input != nil && cost.Output != nil && cost.Total != nil
}

// numbersOnly reports whether text is a JSON object all of whose values are numbers, counts
// when asked for. MLflow answers 422 to a whole request otherwise.
func numbersOnly(s string, counts bool) bool {
	var m map[string]json.Number
	if err := json.Unmarshal([]byte(s), &m); err != nil || len(m) == 0 {
		return false
	}
	// json.Number also takes a quoted number, which MLflow does not.
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return false
	}
	for k, n := range m {
		if strings.HasPrefix(string(raw[k]), `"`) || string(raw[k]) == "null" {
			return false
		}
		if i, err := n.Int64(); counts && (err != nil || i < 0) {
			return false
		}
		if _, err := n.Float64(); err != nil { // 1e999
			return false
		}
	}
	return true
}
