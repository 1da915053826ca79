package telemetry

import (
	"strings"
	"unicode/utf8"
)

// Limits of what a message may hold. The SDK's own limits know nothing of the attributes
// of events.
const (
	maxArtifact = 4 << 20  // bytes of an artifact's content
	maxMessage  = 8 << 20  // bytes of a message before compression
	maxText     = 64 << 10 // bytes of a string attribute of a span
	maxDetails  = 4096     // detail spans of a stage
)

// cutMark ends a text attribute that was cut.
const cutMark = "… [cut]"

// cut returns s, or as much of its beginning as fits into limit bytes, whole runes only,
// and whether anything is missing.
func cut(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	limit = max(limit, 0)
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit], true
}

// cutText is cut with a visible mark, the mark being within the limit.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	head, _ := cut(s, limit-len(cutMark))
	return head + cutMark
}

// valid returns s with broken UTF-8 replaced: a protobuf string must not hold any.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
