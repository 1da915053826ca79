// Package patterns says what is wrong with a pattern of names or paths that Go takes although it matches
// nothing.
package patterns

import (
	"fmt"
	"regexp"
)

// literal is an escaped character, or a class.
var literal = regexp.MustCompile(`\\.|\[[^]]*]`)

// CheckRanges refuses classes with a range whose ends are the wrong way round.
func CheckRanges(pattern string) error {
	for _, class := range literal.FindAllString(pattern, -1) {
		if class[0] != '[' {
			continue
		}
		if turned := emptyRange(class); turned != "" {
			return fmt.Errorf("%s holds no character: write the lower end first, as in [a-z]", turned)
		}
	}
	return nil
}

// emptyRange is the first range of a class whose ends are the wrong way round; "" when there is none.
func emptyRange(class string) string {
	in := []rune(class[1 : len(class)-1])
	if len(in) > 0 && (in[0] == '^' || in[0] == '!') {
		in = in[1:]
	}
	character := func(i int) (r rune, next int) {
		if in[i] == '\\' && i+1 < len(in) {
			i++
		}
		return in[i], i + 1
	}
	for i := 0; i < len(in); {
		low, next := character(i)
		if next+1 < len(in) && in[next] == '-' {
			high, end := character(next + 1)
			if high < low {
				return string(in[i:end])
			}
			next = end
		}
		i = next
	}
	return ""
}
