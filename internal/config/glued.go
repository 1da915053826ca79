package config

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// settingName finds the name of a setting with = behind it, also in the middle of a word.
var settingName = sync.OnceValue(func() *regexp.Regexp {
	names := slices.Concat(Names(), elsewhere)
	// Of two names that begin at one place the longer is meant.
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	return regexp.MustCompile("(" + strings.Join(names, "|") + ")=")
})

// afterExport is where a line of a shell begins its name.
var afterExport = regexp.MustCompile(`export[ \t]+$`)

// glued returns the name of a setting that stands at the end of a value or of a comment, empty when
// there is none: `echo NAME=value >> .env` leaves that where the file does not end with a line break,
// and the line that was to switch something off is lost. The value of a line is given without its
// quotes; quoted says that it had some, in which a name stands on purpose.
func glued(value, comment string, quoted bool) string {
	if !quoted {
		// Behind ? or & it is a parameter of an address, behind a comma one of a list.
		if name := nameBehind(value, "?&,;"); name != "" {
			return name
		}
	}
	// A comment names settings too, or is a line that was taken out: then there is something else
	// than a word before the name.
	return nameBehind(comment, " \t#([{<\"'`,/&?$|_")
}

// nameBehind finds a name of a setting in a text that has none of these characters before it.
func nameBehind(text, innocent string) string {
	for _, m := range settingName().FindAllStringSubmatchIndex(text, -1) {
		before := afterExport.ReplaceAllString(text[:m[2]], "")
		if before == "" || !strings.ContainsAny(before[len(before)-1:], innocent) {
			return text[m[2]:m[3]]
		}
	}
	return ""
}
