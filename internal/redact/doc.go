// Package redact masks secrets and personal data in texts: keys and tokens, credentials in
// URLs and headers, assignments such as password=…, private keys, e-mail addresses, and
// Slack's ids of people.
//
// It runs on the path of a job over everything that is recorded. One pass looks for rare
// bytes, each of which stands in a literal that some rule needs; a rule works only around
// such a hit, and a text without a finding comes back as it is.
//
// Texts are mostly JSON, also JSON within JSON. A mask replaces a part of a string, never a
// quote or a part of an escape, so what was valid JSON stays it.
package redact
