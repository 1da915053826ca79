package scorers

import "github.com/technoshare/commentator/internal/gates"

// TLDRSentenceCount asks for the number of tldr sentences that the gate of that name asks for.
const TLDRSentenceCount = gates.TLDRSentenceCount

var tldrSentenceCount = yesNo{name: TLDRSentenceCount, check: gate(gates.TLDRSentenceCount)}
