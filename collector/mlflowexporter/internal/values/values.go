// Package values makes texts that every database behind MLflow takes, in limits that MLflow
// counts in characters.
package values

import (
	"strings"
	"unicode/utf8"
)

// Clean returns text without what databases behind MLflow refuse (NUL, broken UTF-8),
// cut to at most limit characters.
func Clean(s string, limit int) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return Cut(s, limit)
}

// Cut shortens text to limit characters and marks the place.
func Cut(s string, limit int) string {
	if limit <= 0 || len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit-1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// PullApart puts something between the braces of each {{ in a text, so that no placeholder of the
// exporter is in it.
func PullApart(text, between string) string {
	for strings.Contains(text, "{{") { // once is not enough for three
		text = strings.ReplaceAll(text, "{{", "{"+between+"{")
	}
	return text
}
