// Package docrun runs the commands of documentation pages: what a page tells people to type is
// typed, in order, in one shell.
//
// A command is what stands in a fenced block marked sh. A block that cannot run here says so to its
// readers, in its first line:
//
//	# not run in tests: needs a Slack workspace
//
// Blocks marked as another shell (bash, console, …) are an error of the page, so that none is left
// out by its name. A block marked text that directly follows one of commands is what they print;
// see [Match].
package docrun
