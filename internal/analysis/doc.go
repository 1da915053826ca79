// Package analysis implements commentator.Analyser twice: Offline extracts sentences
// from the page without a model, a key or a network; OpenAI asks an OpenAI-compatible
// server for schema-bound output. Both use one tool, search, which looks similar
// technologies up in the local index.
package analysis
