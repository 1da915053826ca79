// Package scripts holds shell scripts and the tests that run them on stubs of what they start.
// It has no code.
package scripts
