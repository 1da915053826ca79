package reduce

import (
	"encoding/json"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/wire"
)

// content copies what went in and came out to where MLflow's UI shows it. It stays under its
// first name too, as with every other way into MLflow.
func content(s Span, attrs pcommon.Map) {
	if s.text(wire.AttrGenAIInput) != "" || s.text(wire.AttrGenAIOutput) != "" || s.text(wire.AttrGenAITools) != "" {
		chatContent(s, attrs)
	}
	show(attrs, attrSpanInputs, wire.AttrInput, wire.AttrGenAIToolArguments)
	show(attrs, attrSpanOutputs, wire.AttrOutput, wire.AttrGenAIToolResult)
	httpContent(s, attrs)
}

// show puts the first of the named attributes that is there under the native name, as
// JSON, unless the span has the native one.
func show(attrs pcommon.Map, native string, from ...string) {
	for _, key := range from {
		if v, ok := attrs.Get(key); ok {
			putNew(attrs, native, jsonText(v))
		}
	}
}

// jsonText returns the value as JSON: text that is JSON already stays as it is.
func jsonText(v pcommon.Value) string {
	if v.Type() == pcommon.ValueTypeStr {
		if json.Valid([]byte(v.Str())) {
			return v.Str()
		}
		quoted, _ := plainjson.Marshal(v.Str()) // a string cannot fail
		return string(quoted)
	}
	return v.AsString()
}

// httpContent shows request and answer of an HTTP call in the columns where people look.
func httpContent(s Span, attrs pcommon.Map) {
	method := s.text(wire.AttrHTTPMethod)
	if method == "" {
		return
	}
	type request struct {
		Method string `json:"method"`
		URL    string `json:"url,omitempty"`
	}
	type answer struct {
		Status int64 `json:"status_code"`
		Size   int64 `json:"body_size,omitempty"`
	}
	if body, err := plainjson.Marshal(request{method, s.text(wire.AttrURLFull)}); err == nil {
		putNew(attrs, attrSpanInputs, values.Clean(string(body), 0))
	}
	status, ok := s.integer(wire.AttrHTTPStatus)
	if !ok {
		return
	}
	size, _ := s.integer(wire.AttrHTTPBodySize)
	if body, err := plainjson.Marshal(answer{status, size}); err == nil {
		putNew(attrs, attrSpanOutputs, string(body))
	}
}
