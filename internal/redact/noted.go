package redact

import "slices"

// note is add for a finding that the scan has passed, or has not come to: what lies between is
// scanned like everything else. So are the lines of private keys found, and the groups of a
// file's rules.
func (sc *scan) note(start, end int, name string) {
	if end <= start || isMask(sc.s[start:end]) || sc.allowed(name, sc.s[start:end]) {
		return
	}
	sc.noted = append(sc.noted, sc.finding(start, end, name, ""))
}

// match masks what a rule's pattern matched at a place. In front of its group may be what other
// rules find.
func (sc *scan) match(at int, m []int, name string) {
	start, end := masked(m)
	if start > m[0] {
		sc.note(at+start, at+end, name)
		return
	}
	sc.add(at+start, at+end, name)
}

// masked returns which part of a match is masked: its first group, if it has one.
func masked(m []int) (start, end int) {
	if len(m) > 2 && m[2] >= 0 {
		return m[2], m[3]
	}
	return m[0], m[1]
}

// everywhere applies a rule without literals to the whole text: its matches may begin within what
// another rule has found, or reach over it.
func (sc *scan) everywhere(r *rule) {
	for _, m := range r.free.FindAllStringSubmatchIndex(sc.s, -1) {
		start, end := masked(m)
		sc.note(start, end, r.name)
	}
}

// merged returns all findings in order. Of two that overlap one is made, with the mask of the
// first.
func (sc *scan) merged() []Finding {
	all := slices.Concat(sc.found, sc.noted)
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Start - b.Start })
	out := all[:0]
	for _, f := range all {
		if n := len(out); n > 0 && f.Start < out[n-1].End {
			out[n-1].End = max(out[n-1].End, f.End)
			continue
		}
		out = append(out, f)
	}
	return out
}
