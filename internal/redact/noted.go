package redact

import "slices"

// note is add for a finding that the scan has passed, or has not come to: what lies between is
// scanned like everything else. So are the lines of private keys found, and what the rules of a
// file find.
func (sc *scan) note(start, end int, name string) {
	if end <= start || isMask(sc.s[start:end]) || sc.allowed(name, sc.s[start:end]) {
		return
	}
	sc.noted = append(sc.noted, sc.finding(start, end, name, ""))
}

// match masks what a rule's pattern matches at a place. In front of its group may be what other
// rules find, so the scan goes on there; the rule itself goes on behind its match, or a text of many
// prefixes would be read to its end for each.
func (sc *scan) match(at int, r *rule) {
	if at < sc.matched[r] {
		return
	}
	m := r.pattern.FindStringSubmatchIndex(sc.s[at:])
	if m == nil {
		return
	}
	start, end := masked(m)
	if start == 0 && !r.own {
		sc.add(at, at+end, r.name)
		return
	}
	if sc.matched == nil {
		sc.matched = map[*rule]int{}
	}
	sc.matched[r] = at + m[1]
	sc.note(at+start, at+end, r.name)
}

// within applies a file's rules where the scan has passed over what others found: a match may begin
// there and reach further.
func (sc *scan) within(own *table) {
	sc.matched = nil // in what is behind the scan
	for _, f := range sc.found {
		for i := f.Start; i < f.End; i++ {
			sc.literal(own, i)
		}
	}
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
