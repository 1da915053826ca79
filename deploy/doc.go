// Package deploy holds what is needed to run the programs elsewhere, and the tests that
// keep it valid on machines without a container engine. It has no code.
package deploy
