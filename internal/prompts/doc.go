// Package prompts keeps the prompts in data/prompts and MLflow's registry in step. The files are
// the truth; the registry has their versions, and which of them is prod, staging or candidate.
package prompts
