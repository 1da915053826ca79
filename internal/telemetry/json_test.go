package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyJSON draws JSON values of all shapes.
func anyJSON() *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Map(rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune(`"\<>&{}[],: /u0026`)))), func(s string) any { return s }),
		rapid.Map(rapid.Float64Range(-1e9, 1e9), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just[any](nil),
	)
	var tree func(depth int) *rapid.Generator[any]
	tree = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(leaf,
			rapid.Map(rapid.SliceOfN(tree(depth-1), 0, 4), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(rapid.String(), tree(depth-1), 0, 4), func(m map[string]any) any { return m }))
	}
	return tree(3)
}

func TestIndentedDoesWhatTheStandardLibraryDoes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := anyJSON().Draw(r, "value")
		compact, err := json.Marshal(v)
		if err != nil {
			r.Fatal(err)
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			r.Fatal(err)
		}
		if got := string(indented(nil, compact)); got != strings.TrimSuffix(want.String(), "\n") {
			r.Errorf("of %s\ngot  %s\nwant %s", compact, got, want.String())
		}
		if got := string(indented(nil, want.Bytes())); got != strings.TrimSuffix(want.String(), "\n") {
			r.Errorf("what is indented already changed to %s", got)
		}
	})
}

func FuzzIndentedSurvivesBrokenJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"b\"c"]}`, `"`, `"\`, `{`, `[[[`, `]]}`, `"\u003`, `"\u003c\\u0026"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, src []byte) { indented(nil, src) })
}
