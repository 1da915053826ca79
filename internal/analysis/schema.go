package analysis

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// The schemas keep to the subset that strict structured output allows.
var (
	//go:embed schema_facts.json
	factsSchemaJSON []byte
	//go:embed schema_comment.json
	commentSchemaJSON []byte

	factsSchema   = mustSchema("stage_a_facts", factsSchemaJSON)
	commentSchema = mustSchema("stage_b_result", commentSchemaJSON)
)

// schema is what a model's answer has to follow, as the model is told and as it is checked.
type schema struct {
	name     string
	text     json.RawMessage
	compiled *jsonschema.Schema
}

func mustSchema(name string, text []byte) schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(fmt.Sprintf("parse schema %s: %v", name, err))
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		panic(fmt.Sprintf("add schema %s: %v", name, err))
	}
	return schema{name: name, text: text, compiled: c.MustCompile(name)}
}

// violation says how an answer breaks its schema.
type violation struct {
	problems []string
	// countsOnly is set when lists are too short or too long and nothing else is wrong.
	// Such an answer can be judged by the gates.
	countsOnly bool
}

func (v *violation) Error() string { return strings.Join(v.problems, "; ") }

// decode checks an answer and fills v from it. A *violation tells what is wrong; with
// countsOnly v is filled nevertheless.
func (s schema) decode(answer string, v any) error {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(answer))
	if err != nil {
		return &violation{problems: []string{"the answer is no JSON: " + err.Error()}}
	}
	var wrong *violation
	if err := s.compiled.Validate(doc); err != nil {
		var invalid *jsonschema.ValidationError
		if !errors.As(err, &invalid) {
			return fmt.Errorf("validate against %s: %w", s.name, err)
		}
		wrong = &violation{countsOnly: true}
		wrong.add(invalid)
		if !wrong.countsOnly {
			return wrong
		}
	}
	if err := json.Unmarshal([]byte(answer), v); err != nil {
		return &violation{problems: []string{"the answer can't be decoded: " + err.Error()}}
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

var english = message.NewPrinter(language.English)

// add collects the leaves of a validation error, which name the place and the problem.
func (v *violation) add(e *jsonschema.ValidationError) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			v.add(cause)
		}
		return
	}
	switch k := e.ErrorKind.(type) {
	case *kind.MaxItems:
	case *kind.MinItems:
		// A fact without a snippet is no matter of counting.
		v.countsOnly = v.countsOnly && k.Want > 1
	default:
		v.countsOnly = false
	}
	v.problems = append(v.problems, "/"+strings.Join(e.InstanceLocation, "/")+": "+e.ErrorKind.LocalizedString(english))
}
