package reduce

import (
	"testing"

	"github.com/technoshare/commentator/internal/wire"
)

// Whatever form the tools come in, MLflow gets OpenAI's or none.
func TestToolsThatWereOffered(t *testing.T) {
	const nested = `[{"type":"function","function":{"name":"a","parameters":{}}}]`
	for name, c := range map[string]struct {
		given any
		want  any
	}{
		"flat":                    {`[{"type":"function","name":"a","parameters":{}}]`, nested},
		"nested":                  {nested, nested},
		"no string":               {[]any{map[string]any{"type": "function", "name": "a", "parameters": map[string]any{}}}, nested},
		"no type":                 {`[{"name":"a"}]`, `[{"type":"function","function":{"name":"a"}}]`},
		"of the provider":         {`[{"type":"web_search"}]`, `[{"type":"function","function":{"name":"web_search"}}]`},
		"of the provider, named":  {`[{"type":"custom","name":"a"}]`, `[{"type":"function","function":{"name":"a"}}]`},
		"one without a name":      {`[{"type":"function","name":"a"},{"type":"function"}]`, nil},
		"a function without one":  {`[{"type":"function","function":null}]`, nil},
		"a name that is no text":  {`[{"type":"function","name":{}}]`, nil},
		"null in the list":        {`[null]`, nil},
		"an object":               {`{"type":"function","name":"a"}`, nil},
		"JSON that was cut":       {`[{"type":"function","name":"a"`, nil},
		"none":                    {`[]`, nil},
		"what the span has wins":  {`[{"type":"function","name":"b"}]`, nested},
		"no content but the tool": {`[{"type":"function","name":"a","parameters":{}}]`, nested},
	} {
		attrs := map[string]any{wire.AttrGenAIOperation: "chat", wire.AttrGenAITools: c.given}
		inputs := any(nil)
		if name == "what the span has wins" {
			attrs[attrChatTools] = nested
		} else if name != "no content but the tool" {
			attrs[wire.AttrGenAIInput] = `[{"role":"user","parts":[]}]`
			inputs = `{"messages":[{"role":"user","content":""}]}`
			if c.want != nil {
				inputs = `{"messages":[{"role":"user","content":""}],"tools":` + c.want.(string) + `}`
			}
		}
		got := nativeAttrs(t, newSpan(t, Detail, "chat", 2, attrs))
		if got[attrChatTools] != c.want || got[attrSpanInputs] != inputs || got[wire.AttrGenAITools] == nil {
			t.Errorf("%s: tools %v, want %v; inputs %v, want %v", name, got[attrChatTools], c.want, got[attrSpanInputs], inputs)
		}
	}
}
