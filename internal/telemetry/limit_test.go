package telemetry

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCutKeepsWholeRunes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.String().Draw(r, "text")
		limit := rapid.IntRange(0, 40).Draw(r, "limit")
		head, missing := cut(s, limit)
		if len(head) > limit || !strings.HasPrefix(s, head) || missing != (head != s) {
			r.Errorf("cut(%q, %d) = %q, %v", s, limit, head, missing)
		}
		if utf8.ValidString(s) && !utf8.ValidString(head) {
			r.Errorf("cut(%q, %d) broke a rune", s, limit)
		}
		if missing && len(head) < limit-3 {
			r.Errorf("cut(%q, %d) cut too much", s, limit)
		}
	})
}
