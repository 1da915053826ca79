package mlflow

import (
	"encoding/json"
	"maps"
	"testing"
)

// MLflow gives an object back as one, and text as it came.
func TestNumbersOfASpan(t *testing.T) {
	for text, want := range map[string]map[string]float64{
		`{"string_value": "{\"a\": 1, \"b\": 0.5}"}`: {"a": 1, "b": 0.5},
		`{"kvlist_value": {"values": [{"key": "a", "value": {"int_value": "7"}}, {"key": "b", "value": {"int_value": 8}}, {"key": "c", "value": {"double_value": 0.5}}, {"key": "d", "value": {"string_value": "x"}}]}}`: {"a": 7, "b": 8, "c": 0.5},
		`{"string_value": "words"}`: {},
		`7`:                         {},
	} {
		s := Span{Attributes: []Attribute{{Key: "other", Value: json.RawMessage(`{"string_value": "{\"x\": 1}"}`)}, {Key: "usage", Value: json.RawMessage(text)}}}
		if got := s.Numbers("usage"); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
