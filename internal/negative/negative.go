// Package negative lets flags have values below zero, which kong takes for flags: what a command says
// of them is about its flag, not about the library's reading.
package negative

import (
	"regexp"

	"github.com/alecthomas/kong"
)

// number is how a number or a duration below zero begins; no flag does.
var number = regexp.MustCompile(`^-\.?[0-9]`)

// Join writes a flag and its negative value as one argument: --for -1m as --for=-1m.
func Join(app *kong.Application, args []string) []string {
	valued := map[string]bool{}
	collect(app.Node, valued)
	joined := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(joined, args[i:]...)
		}
		if i > 0 && valued[args[i-1]] && number.MatchString(arg) {
			joined[len(joined)-1] += "=" + arg
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

func collect(n *kong.Node, valued map[string]bool) {
	for _, f := range n.Flags {
		if !f.IsBool() {
			valued["--"+f.Name] = true
		}
	}
	for _, child := range n.Children {
		collect(child, valued)
	}
}
