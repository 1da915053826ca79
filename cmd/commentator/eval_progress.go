package main

import (
	"fmt"
	"io"

	"github.com/technoshare/commentator/internal/evaluation"
)

// progress shows how far an evaluation is: on a terminal one line that changes, elsewhere a line
// for each tenth.
type progress struct {
	to       io.Writer
	terminal bool
	tenth    int
	shown    bool
}

func newProgress(to io.Writer) *progress {
	return &progress{to: to, terminal: isTerminal(to)}
}

func (p *progress) show(s evaluation.Progress) {
	text := fmt.Sprintf("%d of %d tries, %d not passed, %.4f USD", s.Done, s.Total, s.NotPassed, s.CostUSD)
	if p.terminal {
		p.shown = true
		fmt.Fprintf(p.to, "\r\x1b[K%s", text)
		return
	}
	if tenth := 10 * s.Done / max(1, s.Total); tenth > p.tenth {
		p.tenth = tenth
		fmt.Fprintln(p.to, text)
	}
}

func (p *progress) end() {
	if p.shown {
		fmt.Fprintln(p.to)
	}
}
