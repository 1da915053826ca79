package reduce

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Limits of MLflow 3.17 in characters. What is longer is refused by Postgres and stored
// whole by SQLite, so it is cut here for every server alike. mlflow/utils/validation.py
// and the widths of the SQL columns are the source.
const (
	maxKey        = 250
	maxParam      = 6000
	maxTag        = 8000
	maxName       = 250
	maxSpanType   = 500
	maxTraceValue = 250 // session, user
	maxPreview    = 1000
	maxMetadata   = 250 // longer values are stored, but MLflow's REST answers show 250
)

// clean returns text without what databases behind MLflow refuse (NUL, broken UTF-8),
// cut to at most limit characters.
func clean(s string, limit int) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return cut(s, limit)
}

// cut shortens text to limit characters and marks the place.
func cut(s string, limit int) string {
	if limit <= 0 || len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit-1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// validKey reports whether MLflow takes the text as name of a param, tag or metric:
// ^[/\w.\- :]*$, at most 250 characters, a clean relative path.
func validKey(key string) bool {
	if key == "" || utf8.RuneCountInString(key) > maxKey || strings.HasPrefix(key, "/") {
		return false
	}
	for _, part := range strings.Split(key, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	for _, r := range key {
		ok := r == '/' || r == '_' || r == '.' || r == '-' || r == ' ' || r == ':' ||
			r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80
		if !ok {
			return false
		}
	}
	return true
}

// cleanMap removes what is refused from every string of a map, however deep.
func cleanMap(m pcommon.Map) {
	for _, v := range m.All() {
		cleanValue(v)
	}
}

func cleanValue(v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if s := v.Str(); strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			v.SetStr(clean(s, 0))
		}
	case pcommon.ValueTypeMap:
		cleanMap(v.Map())
	case pcommon.ValueTypeSlice:
		for _, e := range v.Slice().All() {
			cleanValue(e)
		}
	}
}

// numbersOnly reports whether text is a JSON object all of whose values are numbers,
// whole ones when asked for. MLflow answers 422 to a whole request otherwise.
func numbersOnly(s string, whole bool) bool {
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
		if _, err := n.Int64(); whole && err != nil {
			return false
		}
	}
	return true
}
