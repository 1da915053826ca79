package redact

import (
	"regexp/syntax"
	"unicode"
)

// beginsWith reports whether a match of a regular expression can begin with a literal, and
// whether one can when letters of the literal are written in the other case. What asks for a
// place rather than for a letter (^, \b) is taken to be fulfilled.
func beginsWith(regex, literal string) (exact, folded bool) {
	parsed, err := syntax.Parse(regex, syntax.Perl)
	if err != nil {
		return false, false
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return false, false
	}
	// A state is an instruction, and whether a letter before it was in the other case. A match
	// that ends within the literal does not begin with it.
	type state struct {
		pc    uint32
		other bool
	}
	follow := func(into map[state]bool, from state) {
		for todo := []state{from}; len(todo) > 0; {
			s := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if into[s] {
				continue
			}
			into[s] = true
			switch i := prog.Inst[s.pc]; i.Op {
			case syntax.InstAlt, syntax.InstAltMatch:
				todo = append(todo, state{i.Out, s.other}, state{i.Arg, s.other})
			case syntax.InstCapture, syntax.InstEmptyWidth, syntax.InstNop:
				todo = append(todo, state{i.Out, s.other})
			}
		}
	}
	now := map[state]bool{}
	follow(now, state{pc: uint32(prog.Start)})
	for _, r := range literal {
		next := map[state]bool{}
		for s := range now {
			i := prog.Inst[s.pc]
			switch i.Op {
			case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			default:
				continue
			}
			if i.MatchRune(r) {
				follow(next, state{i.Out, s.other})
			}
			if c := otherCase(r); c != r && i.MatchRune(c) {
				follow(next, state{i.Out, true})
			}
		}
		now = next
	}
	for s := range now {
		exact, folded = exact || !s.other, folded || s.other
	}
	return exact, folded
}

// otherCase returns an ASCII letter in the other case, and everything else as it is.
func otherCase(r rune) rune {
	if r < unicode.MaxASCII && isLetter(byte(r)) {
		return r ^ 0x20
	}
	return r
}
