package analysis

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/technoshare/commentator/internal/commentator"
)

// CheckSchemas reports what of facts and comment breaks the schemas that models are told. Lists
// that are too long or too short are none of it: the gates judge them.
func CheckSchemas(f commentator.Facts, c commentator.Comment) error {
	f.Related = nil // comes of the search tool, not of the model
	return errors.Join(checkSchema(factsSchema, f), checkSchema(commentSchema, c))
}

func checkSchema(s schema, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", s.name, err)
	}
	var decoded map[string]any
	err = s.decode(string(text), &decoded)
	var broken *violation
	if errors.As(err, &broken) && broken.countsOnly {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}
