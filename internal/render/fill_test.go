package render

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/test/race"
)

// Items of every length, so that blocks and messages are filled to their last character.
func TestReplyFillsMessagesToTheLimitAndNoFurther(t *testing.T) {
	fullest, most := 0, 0
	for size := 1; size < 3100; size += race.Pick(7, 71) {
		items := func(n int) []string { return slices.Repeat([]string{strings.Repeat("x", size)}, n) }
		c := commentator.Comment{TLDR: items(3), Summary: items(15), Projects: items(8), SimilarTech: items(8)}
		for _, m := range Reply(c, "https://example.org/").Messages {
			fullest = max(fullest, utf8.RuneCountInString(m.Text))
			for _, b := range check(t, m) {
				most = max(most, utf8.RuneCountInString(b.words()))
			}
		}
	}
	if fullest < 11_700 || most < 2_900 {
		t.Errorf("the fullest message has %d characters, the fullest block %d: more would fit", fullest, most)
	}
}
