// Package counted writes numbers with what they count.
package counted

import "fmt"

// Of writes n and its noun, "1 job" or "2 jobs".
func Of[N ~int | ~int64](n N, noun string) string { return Form(n, noun, noun+"s") }

// Form writes n with the first text when it is 1, else with the other: "1 is", "2 are".
func Form[N ~int | ~int64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
