package scorers

import "github.com/technoshare/commentator/internal/gates"

// SummarySentenceCount likewise for the summary.
const SummarySentenceCount = gates.SummarySentenceCount

var summarySentenceCount = yesNo{name: SummarySentenceCount, check: gate(gates.SummarySentenceCount)}
