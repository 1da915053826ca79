//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// protocol is what a rehearsal writes down.
type protocol struct {
	Revision string    `json:"revision"`
	Began    time.Time `json:"began"`
	OldStore string    `json:"old_mlflow"` // version that wrote the old store
	OK       bool      `json:"ok"`
	Seconds  float64   `json:"seconds"`
	Steps    []*step   `json:"steps"`

	out io.Writer
}

// step is one of its steps. A step that did not end well is the last one.
type step struct {
	Title   string   `json:"step"`
	Done    []string `json:"done"`
	Checked []string `json:"checked"`
	Seconds float64  `json:"seconds"`
	OK      bool     `json:"ok"`
	Problem string   `json:"problem,omitempty"`

	out io.Writer
}

func (s *step) did(format string, args ...any) {
	s.Done = append(s.Done, fmt.Sprintf(format, args...))
	fmt.Fprintf(s.out, "      did      %s\n", s.Done[len(s.Done)-1])
}

func (s *step) checked(format string, args ...any) {
	s.Checked = append(s.Checked, fmt.Sprintf(format, args...))
	fmt.Fprintf(s.out, "      checked  %s\n", s.Checked[len(s.Checked)-1])
}

// run does a step.
func (p *protocol) run(title string, do func(*step) error) error {
	s := &step{Title: title, Done: []string{}, Checked: []string{}, out: p.out}
	p.Steps = append(p.Steps, s)
	fmt.Fprintf(p.out, "%3d  %s\n", len(p.Steps), title)
	began := time.Now()
	err := do(s)
	s.Seconds = time.Since(began).Seconds()
	p.Seconds = time.Since(p.Began).Seconds()
	if err != nil {
		s.Problem = err.Error()
		fmt.Fprintf(p.out, "      FAILED   after %.1f s: %s\n", s.Seconds, s.Problem)
		return fmt.Errorf("step %d FAILED: %s", len(p.Steps), title)
	}
	s.OK = true
	fmt.Fprintf(p.out, "      ok       %.1f s\n", s.Seconds)
	return nil
}

// save writes the protocol into a folder, for machines and for people.
func (p *protocol) save(dir string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode protocol: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("save protocol: %w", err)
	}
	for name, body := range map[string][]byte{"rehearse.json": append(text, '\n'), "rehearse.md": []byte(p.page())} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			return fmt.Errorf("save protocol: %w", err)
		}
	}
	return nil
}

// page is the protocol as a Markdown table.
func (p *protocol) page() string {
	var b strings.Builder
	result := "every step ended well"
	if !p.OK {
		result = "it FAILED"
	}
	fmt.Fprintf(&b, "# Rehearsal of the migration\n\n%s, revision %s, old store of MLflow %s: %d steps in %.0f s, %s.\n\n",
		p.Began.UTC().Format(time.RFC3339), p.Revision, p.OldStore, len(p.Steps), p.Seconds, result)
	b.WriteString("| | step | done | checked | s | |\n|---|---|---|---|---|---|\n")
	for i, s := range p.Steps {
		end := "ok"
		if !s.OK {
			end = "**FAILED**: " + s.Problem
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %.1f | %s |\n", i+1, cell(s.Title), cells(s.Done), cells(s.Checked), s.Seconds, cell(end))
	}
	return b.String()
}

func cells(lines []string) string {
	escaped := make([]string, len(lines))
	for i, l := range lines {
		escaped[i] = cell(l)
	}
	return strings.Join(escaped, "<br>")
}

var inCell = strings.NewReplacer("|", `\|`, "\n", " ")

func cell(text string) string { return inCell.Replace(text) }
