package redact

import (
	_ "embed"
	"regexp"
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
		// What is told by the middle or the end: the beginnings have no rare byte, or none at all.
		&rule{name: "azure_client_secret", literals: []string{"Q~"}, back: 4, pattern: regexp.MustCompile(`\A[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{20,}`)},
		&rule{name: "databricks_token", literals: []string{"-2", "-3"}, back: 36, pattern: regexp.MustCompile(`\Adapi[0-9a-f]{32}-[23]\b`)},
		&rule{name: "mailchimp_key", literals: []string{"-us"}, back: 32, pattern: regexp.MustCompile(`\A[0-9a-f]{32}-us[0-9]{1,2}\b`)},
		&rule{name: ruleOpenAI, literals: []string{"sk-"}, kind: kindOpenAI},
		&rule{name: ruleBearer, literals: []string{"bearer "}, fold: true, kind: kindBearer},
		&rule{name: ruleBasic, literals: []string{"basic "}, fold: true, kind: kindBasic},
		&rule{name: rulePrivateKey, literals: []string{pemBegin}, inside: true, kind: kindKeyBegin},
		&rule{name: rulePrivateKey, literals: []string{pemEnd}, inside: true, kind: kindKeyEnd},
	)
}

// builtIn is made once, when somebody needs it.
var builtIn = sync.OnceValue(func() *table { return newTable(builtInRules()) })
