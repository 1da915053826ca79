package service

import "go.opentelemetry.io/collector/pdata/pcommon"

// place is where a point of a metric stands in its day.
type place struct {
	time pcommon.Timestamp
	slot int64 // minute in which its interval begins
	step int64 // minute of the day
}

// quiet is what is remembered of a histogram that may observe nothing. A chart draws a line from point to
// point, straight over the intervals without one: a count of 0 in the first and in the last of these shows
// the gap. Two points do, however long it is.
type quiet struct {
	newest pcommon.Timestamp // of what was looked at
	last   place             // where nothing was observed last; without a time: there was something since
	before place             // the same in the last interval before that of last, which is over
	zero   bool              // the point before is a 0
}

// gap notes whether a histogram observed anything until some moment, and gives the place of a count of 0.
// It waits for the interval to be over, in which another process may still observe something. Before the
// first point of a day there is no line.
func (m *minutes) gap(at place, observed bool) (zero place, ok bool) {
	if m == nil {
		return place{}, false
	}
	if at.time <= m.quiet.newest { // late, and perhaps behind the 0 all the same
		m.quiet.zero = m.quiet.zero && !observed
		return place{}, false
	}
	if m.quiet.last.slot < at.slot {
		m.quiet.before = m.quiet.last
	}
	if last := m.quiet.before; last.time != 0 && !m.has(last.slot) && (observed || !m.quiet.zero) {
		m.set(last.slot)
		m.quiet.zero = true
		zero, ok = last, true
	}
	m.quiet.newest, m.quiet.last = at.time, at
	if observed {
		m.quiet.last, m.quiet.before, m.quiet.zero = place{}, place{}, false
	}
	return zero, ok
}
