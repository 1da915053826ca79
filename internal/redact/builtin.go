package redact

import (
	_ "embed"
	"sync"
)

//go:embed rules.yaml
var vendors []byte

// builtInRules returns the rules that need a literal. The others are bound to a single byte,
// see scan.run.
func builtInRules() []*rule {
	file, err := parse("rules.yaml", vendors, nil)
	if err != nil {
		panic(err) // the file is a part of the program, and a test reads it
	}
	return append(file.rules,
		&rule{name: ruleOpenAI, literals: []string{"sk-"}, kind: kindOpenAI},
		&rule{name: ruleBearer, literals: []string{"bearer "}, fold: true, kind: kindBearer},
		&rule{name: ruleBasic, literals: []string{"basic "}, fold: true, kind: kindBasic},
		&rule{name: rulePrivateKey, literals: []string{pemBegin}, inside: true, kind: kindKeyBegin},
		&rule{name: rulePrivateKey, literals: []string{pemEnd}, inside: true, kind: kindKeyEnd},
	)
}

// builtIn is made once, when somebody needs it.
var builtIn = sync.OnceValue(func() *table { return newTable(builtInRules()) })
