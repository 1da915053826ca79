// Package architecture holds the tests that keep the project's import rules. It has no code.
package architecture
