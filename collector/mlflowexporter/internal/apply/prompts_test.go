package apply

import (
	"fmt"
	"testing"
)

// However many prompts there are, few are remembered.
func TestRememberedPromptsAreBounded(t *testing.T) {
	var p prompts
	for i := range 2*maxPrompts + 1 {
		p.keep(fmt.Sprint(i), registered{})
		p.keep(fmt.Sprint(i), registered{byHash: map[string]string{"x": "1"}})
		if _, known := p.byName[fmt.Sprint(i)]; !known || len(p.byName) > maxPrompts {
			t.Fatalf("%d: remembers %d", i, len(p.byName))
		}
	}
	p.keep("0", registered{})
	before := len(p.byName)
	if p.keep("0", registered{}); len(p.byName) != before {
		t.Errorf("what is known again makes %d of %d", len(p.byName), before)
	}
}
