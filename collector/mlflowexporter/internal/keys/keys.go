// Package keys makes names of params, metrics, tags and scores that MLflow takes. A name that
// it takes as it is stays as it is; of two that are changed or cut each stays its own, by a
// hash of the whole at its end. Only ASCII characters become an underscore without one.
package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Max is how many characters MLflow takes.
const Max = 250

const (
	hashLength = len("-01234567")
	// leastPrefix is what stays of a prefix at least, in characters, its hash included.
	leastPrefix = 20
)

// Clean makes a key: what ^[/\w.\- :]*$ matches, of which these are the letters and digits of
// all scripts that MLflow's Python and Go agree on, without an empty or dotted part of a path.
func Clean(name string) string {
	key, lossy := replace(name, "/.- :")
	parts := slices.DeleteFunc(strings.Split(key, "/"), func(p string) bool { return p == "" || p == "." || p == ".." })
	return fit(strings.Join(parts, "/"), name, Max, lossy)
}

// Under makes the key of name below prefix. What is too long is cut in the prefix, so that the
// name stays readable. An empty name is none.
func Under(prefix, name string) string {
	head, tail := Clean(prefix), Clean(name)
	room := Max - utf8.RuneCountInString(tail) - 1
	switch {
	case tail == "":
		return head
	case head == "":
		return tail
	case room < leastPrefix:
		return fit(head+"/"+tail, prefix+"/"+name, Max, false)
	}
	return fit(head, prefix, room, false) + "/" + tail
}

// Step makes a name of at most limit characters that can be one step of a path: letters,
// digits, underscores and the given others. It may be empty.
func Step(name string, limit int, others string) string {
	step, lossy := replace(name, others)
	return fit(strings.Trim(step, " ."), name, limit, lossy)
}

// replace puts an underscore for each character that is no letter, digit, underscore or one of
// the given others. It is lossy when one of them was not ASCII: whole names are then alike.
func replace(name, others string) (replaced string, lossy bool) {
	replaced = strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(others, r) {
			return r
		}
		lossy = lossy || r > unicode.MaxASCII
		return '_'
	}, name)
	return replaced, lossy
}

// fit cuts a key to limit characters. What is cut or marked gets the hash of its origin.
func fit(key, origin string, limit int, mark bool) string {
	runes := []rune(key)
	if len(runes) <= limit && !mark {
		return key
	}
	sum := sha256.Sum256([]byte(origin))
	head := strings.TrimRight(string(runes[:min(len(runes), limit-hashLength)]), "/ .")
	return head + "-" + hex.EncodeToString(sum[:4])
}
