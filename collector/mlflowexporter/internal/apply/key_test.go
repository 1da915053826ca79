package apply

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// A name is written as the plan shows it, and as the check of own tags sees it.
func TestKeysAreCleanedAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("ab/.% :é\x1b")), 0, 400, -1)).Draw(t, "key")
		if got, want := cleanKey(key), reduce.CleanKey(key); got != want {
			t.Errorf("%q is written as %q, shown as %q", key, got, want)
		}
	})
}
