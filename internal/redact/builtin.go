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
		// The scan stops at the letter b anyway, for bearer and basic.
		&rule{name: ruleTeamsWebhook, literals: []string{"webhook"}, by: 'b', fold: true, inside: true, kind: kindWebhook},
		&rule{name: ruleDiscordWebhook}, // of the same word
		&rule{name: ruleSlackWebhook, literals: []string{"/B", "FB", "fB"}, by: 'B', inside: true, kind: kindSlackService},
		// Other forms of @, =, : and >.
		// Their backslash is everywhere in JSON within JSON, and u00 in that of HTML.
		&rule{name: ruleEmail, literals: []string{`\u0040`}, by: '4', inside: true, kind: kindAt},
		&rule{name: ruleEmail, literals: []string{"#64;", "#x40;"}, inside: true, kind: kindAt},
		&rule{name: ruleToken, literals: []string{`\u003d`, `\u003D`}, by: '3', inside: true, kind: kindEqual},
		&rule{name: ruleToken, literals: []string{wideEqual, "#61;", "#x3d;", "#x3D;"}, inside: true, kind: kindEqual},
		&rule{name: rulePassword, literals: []string{wideColon}, inside: true, kind: kindWideColon},
		&rule{name: rulePassword, literals: []string{`\u003e`, `\u003E`}, by: '3', inside: true, kind: kindTag},
		&rule{name: rulePrivateKey, literals: []string{"Private-Lines:"}, kind: kindPuTTY},
		&rule{name: rulePassword, literals: []string{"-u ", "--user "}, by: '-', kind: kindCurlUser},
		&rule{name: ruleBearer, literals: []string{"bearer"}, fold: true, kind: kindBearer},
		&rule{name: ruleBasic, literals: []string{"basic"}, fold: true, kind: kindBasic},
		&rule{name: rulePrivateKey, literals: []string{pemBegin}, inside: true, kind: kindKeyBegin},
		&rule{name: rulePrivateKey, literals: []string{pemEnd}, inside: true, kind: kindKeyEnd},
	)
}

// builtIn is made once, when somebody needs it.
var builtIn = sync.OnceValue(func() *table { return newTable(builtInRules()) })
