package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/redact"
)

// maxText bounds what redact looks at, in bytes: the text and its masked form are in memory.
const maxText = 1 << 30

type redactCommand struct {
	File string `arg:"" optional:"" help:"Text to look at; - is standard input."`

	List  bool `help:"List what is found, as FILE:LINE:COLUMN: rule, length, in place of the masked text."`
	Rules bool `help:"List the names of all rules."`
}

// Help is shown below the flags.
func (redactCommand) Help() string {
	return `Prints the text as it would be recorded or logged: with REDACTION_FILE's rules beside the built-in ones. Slack's ids of people, which become pseudonyms of the job database, are masked here.

Exit code: 0; with --list 0 when nothing is found and 1 when something is; 2 for wrong input.`
}

// Run masks a file, or lists what would be masked.
func (c *redactCommand) Run(_ context.Context, a *app) error {
	r := a.redactor
	if r == nil { // REDACTION=off, so that nobody has read REDACTION_FILE yet; it may be a pipe, which is read once
		var warnings []string
		var err error
		if r, warnings, err = loadRedactor(a.cfg); err != nil {
			return usageError{err}
		}
		for _, w := range warnings {
			fmt.Fprintln(a.stderr, "warning:", w)
		}
	}
	if c.Rules {
		for _, name := range r.Rules() {
			fmt.Fprintln(a.stdout, name)
		}
		return nil
	}
	if c.File == "" {
		return usageError{fmt.Errorf("redact needs a FILE; - is standard input")}
	}
	body, err := readFile(c.File, a.stdin, maxText)
	if err != nil {
		return usageError{err}
	}
	if bytes.HasPrefix(body, []byte{0xff, 0xfe}) || bytes.HasPrefix(body, []byte{0xfe, 0xff}) {
		return usageError{fmt.Errorf("%s is UTF-16, not UTF-8, and nothing would be found in it; convert it: iconv -f UTF-16 -t UTF-8 %[1]s > utf8.txt", c.File)}
	}
	if a.redactor == nil {
		fmt.Fprintln(a.stderr, "warning: REDACTION=off, so that nothing is masked; this is what REDACTION=on would mask")
	}
	text := string(body)
	if !c.List {
		_, err := io.WriteString(a.stdout, r.Text(text))
		return err
	}
	found := r.Find(text)
	p, looked := place{line: 1, column: 1}, 0
	for _, f := range found {
		p.pass(text[looked:f.Start])
		looked = f.Start
		fmt.Fprintf(a.stdout, "%s:%d:%d: %s, %d bytes\n", c.File, p.line, p.column, f.Rule, f.End-f.Start)
	}
	if len(found) > 0 {
		return errSaid
	}
	return nil
}

// place is where a byte of a text is for a person. It is told of each byte once: a text may be one line
// with very much to find.
type place struct {
	line   int // from 1
	column int // in characters, from 1
}

// pass goes on behind some text.
func (p *place) pass(text string) {
	if n := strings.Count(text, "\n"); n > 0 {
		p.line += n
		p.column, text = 1, text[strings.LastIndexByte(text, '\n')+1:]
	}
	p.column += utf8.RuneCountInString(text)
}

// newRedactor is what masks telemetry and logs; nil: REDACTION=off. The warnings are about rules.
func newRedactor(c config.Config) (r *redact.Redactor, warnings []string, err error) {
	if !c.Redacts() {
		return nil, nil, nil
	}
	return loadRedactor(c)
}

func loadRedactor(c config.Config) (r *redact.Redactor, warnings []string, err error) {
	if c.RedactionFile == "" {
		return redact.New(nil), nil, nil
	}
	file, err := redact.ReadFile(c.RedactionFile)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.At("REDACTION_FILE"), err)
	}
	return redact.New(file), file.Warnings(), nil
}
