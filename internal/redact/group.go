package redact

import "regexp/syntax"

// maskedPart is what a rule masks of a match: its first group, if it has one. Nil: the expression is
// wrong.
func maskedPart(regex string) *syntax.Regexp {
	all, err := syntax.Parse(regex, syntax.Perl)
	if err != nil {
		return nil
	}
	if group := firstGroup(all); group != nil {
		return group
	}
	return all
}

func firstGroup(re *syntax.Regexp) *syntax.Regexp {
	if re.Op == syntax.OpCapture && re.Cap == 1 {
		return re
	}
	for _, sub := range re.Sub {
		if group := firstGroup(sub); group != nil {
			return group
		}
	}
	return nil
}

// alwaysEmpty reports whether an expression matches no character at all.
func alwaysEmpty(re *syntax.Regexp) bool {
	if re == nil {
		return false
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) == 0
	case syntax.OpNoMatch, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpRepeat:
		if re.Max == 0 {
			return true
		}
	}
	for _, sub := range re.Sub {
		if !alwaysEmpty(sub) {
			return false
		}
	}
	return true
}

// maxNamed is the longest range of a class whose characters count as named one by one: the parser makes
// a range of neighbours such as [!"#].
const maxNamed = 4

// quoteIn returns the quote or backslash that an expression names, so that it takes one on purpose;
// a class such as . or [^ ] names none.
func quoteIn(re *syntax.Regexp) string {
	if re == nil {
		return ""
	}
	for _, q := range []rune{'"', '\\'} {
		switch re.Op {
		case syntax.OpLiteral:
			for _, r := range re.Rune {
				if r == q {
					return string(q)
				}
			}
		case syntax.OpCharClass:
			for i := 0; i+1 < len(re.Rune); i += 2 {
				if lo, hi := re.Rune[i], re.Rune[i+1]; lo <= q && q <= hi && hi-lo < maxNamed {
					return string(q)
				}
			}
		}
	}
	for _, sub := range re.Sub {
		if q := quoteIn(sub); q != "" {
			return q
		}
	}
	return ""
}
