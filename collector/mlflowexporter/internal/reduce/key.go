package reduce

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/wire"
)

// CleanKey is the name under which a param, tag or metric is written, which MLflow takes: word
// characters, slash, dot, dash, space and colon, no empty or dotted part of a path, at most 250
// characters.
func CleanKey(key string) string {
	key = strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/.- :", r) {
			return r
		}
		return '_'
	}, strings.ToValidUTF8(key, "_"))
	parts := slices.DeleteFunc(strings.Split(key, "/"), func(p string) bool { return p == "" || p == "." || p == ".." })
	key = strings.Join(parts, "/")
	if utf8.RuneCountInString(key) > maxKey {
		key = strings.TrimRight(string([]rune(key)[:maxKey]), "/")
	}
	return key
}

// ownTags are tags by which the exporter and MLflow know runs; no mapping sets them.
var ownTags = map[string]bool{wire.TagKey: true, wire.TagClaim: true, wire.TagTraceID: true, "mlflow.parentRunId": true, "mlflow.runName": true}

// ownTag reports whether a tag would be written under one of those names: otel.key/ is.
func ownTag(key string) bool { return ownTags[CleanKey(key)] }
