package plainjson

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNothingIsEscapedForHTML(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{map[string]string{"<k>": "a & b <c>"}, `{"<k>":"a & b <c>"}`},
		{`\u0026 "`, `"\\u0026 \""`},
		{json.RawMessage(`"a \u0026 b & c"`), `"a \u0026 b & c"`},
		{"\n\u2028", `"\n\u2028"`},
		{nil, "null"},
	} {
		got, err := Marshal(c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%v is %s, %v; want %s", c.value, got, err, c.want)
		}
		var line strings.Builder
		if err := Lines(&line).Encode(c.value); err != nil || line.String() != c.want+"\n" {
			t.Errorf("%v is the line %q, %v; want %s", c.value, line.String(), err, c.want)
		}
	}
}

// It is what the standard library writes, once the escapes of HTML are taken out of that; and what was
// returned stays as it is.
func TestAllElseIsAsInTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.StringOf(rapid.SampledFrom([]rune("<>&\\\"u0026é\u2028\n"))))).Draw(r, "value")
		got, err := Marshal(v)
		if err != nil {
			r.Fatal(err)
		}
		if _, err := Marshal(strings.Repeat("x", len(got))); err != nil {
			r.Fatal(err)
		}
		escaped, err := json.Marshal(v)
		if err != nil {
			r.Fatal(err)
		}
		if again := string(Append([]byte("before"), escaped)); again != "before"+string(got) {
			r.Errorf("of %s came %s, want %s", escaped, again, got)
		}
		var whole map[string][]string
		if err := json.Unmarshal(got, &whole); err != nil {
			r.Fatal(err)
		}
		if same, err := json.Marshal(whole); err != nil || string(same) != string(escaped) {
			r.Errorf("%s is %s, %v; want %s", got, same, err, escaped)
		}
	})
}

func FuzzAppendSurvivesBrokenJSON(f *testing.F) {
	for _, seed := range []string{`"\u0026"`, `"\\u0026"`, `"\u002`, `\u00`, `"\u003c\`, `\\\u0026`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if got := Append(nil, src); len(got) > len(src) {
			t.Errorf("%q became %q", src, got)
		}
	})
}

func TestAfterAnErrorTheNextValueIsWhole(t *testing.T) {
	for range 10 {
		if got, err := Marshal([]any{"begun", math.NaN()}); err == nil || got != nil {
			t.Fatalf("NaN is %s, %v", got, err)
		}
		if got, err := Marshal("&"); err != nil || string(got) != `"&"` {
			t.Fatalf(`& is %s, %v`, got, err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	v := map[string]string{"text": strings.Repeat("a text of a page with <tags> & more; ", 1000)}
	for _, c := range []struct {
		name string
		of   func(any) ([]byte, error)
	}{{"plain", Marshal}, {"encoding/json", json.Marshal}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.of(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
