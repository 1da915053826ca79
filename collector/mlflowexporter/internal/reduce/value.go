package reduce

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// lookup finds an attribute of a span, or else of its resource.
func (s Span) lookup(name string) (pcommon.Value, bool) {
	if v, ok := s.Span.Attributes().Get(name); ok {
		return v, true
	}
	return s.Resource.Attributes().Get(name)
}

// text returns an attribute of the span as text, "" when there is none.
func (s Span) text(name string) string {
	v, ok := s.Span.Attributes().Get(name)
	if !ok {
		return ""
	}
	return v.AsString()
}

// texts returns an attribute of the span that is a list, as texts.
func (s Span) texts(name string) []string {
	v, ok := s.Span.Attributes().Get(name)
	if !ok || v.Type() != pcommon.ValueTypeSlice {
		return nil
	}
	var list []string
	for _, one := range v.Slice().All() {
		list = append(list, one.AsString())
	}
	return list
}

func (s Span) resourceText(name string) string {
	v, ok := s.Resource.Attributes().Get(name)
	if !ok {
		return ""
	}
	return v.AsString()
}

// number reads a metric's value: numbers as they are, booleans as 0 and 1, and numbers
// that came as text. NaN and the infinities are left out: MLflow before 3.16 answers 400
// when a NaN is sent twice.
func number(v pcommon.Value) (float64, bool) {
	var f float64
	switch v.Type() {
	case pcommon.ValueTypeInt:
		f = float64(v.Int())
	case pcommon.ValueTypeDouble:
		f = v.Double()
	case pcommon.ValueTypeBool:
		if v.Bool() {
			f = 1
		}
	case pcommon.ValueTypeStr:
		parsed, err := strconv.ParseFloat(v.Str(), 64)
		if err != nil {
			return 0, false
		}
		f = parsed
	default:
		return 0, false
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// integer reads a whole number that may have come as text or as a double.
func (s Span) integer(name string) (int64, bool) {
	v, ok := s.Span.Attributes().Get(name)
	if !ok {
		return 0, false
	}
	if v.Type() == pcommon.ValueTypeInt {
		return v.Int(), true
	}
	f, ok := number(v)
	return int64(f), ok
}
