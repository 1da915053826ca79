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
// that came as text. NaN and the infinities are given, and are none: MLflow before 3.16 answers
// 400 when a NaN is sent twice.
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

// integer reads a whole number, a count or a time, that may have come as text or as a double.
// What is negative, or more than an int64 holds, is none.
func (s Span) integer(name string) (int64, bool) {
	v, ok := s.Span.Attributes().Get(name)
	if !ok {
		return 0, false
	}
	return count(v)
}

func count(v pcommon.Value) (int64, bool) {
	if v.Type() == pcommon.ValueTypeInt {
		return max(v.Int(), 0), v.Int() >= 0
	}
	f, ok := number(v)
	if !ok || f < 0 || f >= math.MaxInt64 {
		return 0, false
	}
	return int64(f), true
}

// plus adds two counts. A sum that an int64 cannot hold is the largest one.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
