package scorers

import (
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/evaluation"
)

// SchemaValidity asks whether facts and comment follow the schemas that models are told, the
// lengths of lists aside, which other scorers judge.
const SchemaValidity = "schema_validity"

var schemaValidity = yesNo{name: SchemaValidity, check: func(m evaluation.Made) string {
	if err := analysis.CheckSchemas(m.Facts, m.Comment); err != nil {
		return "It does not follow the schema: " + err.Error() + "."
	}
	return ""
}}
