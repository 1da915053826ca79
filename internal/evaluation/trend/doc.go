// Package trend tells how evaluations came out over time: by version of the prompts, and what the
// examples that fail have in common. Results in, values out.
package trend
