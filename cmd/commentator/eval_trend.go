package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/reports"
	"github.com/technoshare/commentator/internal/evaluation/trend"
)

type evalTrendCommand struct {
	Dir string `arg:"" help:"Folder with results, as eval_results.json or any other *.json, also in folders below."`

	Last   int    `default:"0" help:"Show only so many of the newest evaluations; 0: all."`
	Format string `default:"text" enum:"text,markdown,json,svg,html" help:"What to print: text, markdown, json, svg or html."`
	Out    string `placeholder:"DIR" help:"Folder for trend.json, trend.md, trend.svg and trend.html."`
}

// Help is shown below the flags.
func (evalTrendCommand) Help() string {
	return `A version is one state of prompts and models, named by the hashes of its prompts. Files that are no results are passed over; broken ones are named.

Exit code: 0, or 3 when there is nothing to show.`
}

// Run shows the trend.
func (c *evalTrendCommand) Run(_ context.Context, a *app) (err error) {
	defer func() { err = impossible(err) }()
	if c.Last < 0 {
		return fmt.Errorf("--last: %d is negative", c.Last)
	}
	results, err := c.read(a)
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return fmt.Errorf("there are no results below %s: `commentator eval run` writes %s", c.Dir, evaluation.ResultsFile)
	}
	t := trend.Of(results, c.Last)
	machine, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encode trend: %w", err)
	}
	page, err := reports.TrendHTML(t)
	if err != nil {
		return err
	}
	out := map[string][]byte{
		"json": append(machine, '\n'), "markdown": []byte(reports.TrendMarkdown(t)), "svg": []byte(reports.TrendSVG(t)), "html": page, "text": []byte(reports.TrendText(t)),
	}
	if c.Out != "" {
		files := map[string][]byte{"trend.json": out["json"], "trend.md": out["markdown"], "trend.svg": out["svg"], "trend.html": out["html"]}
		if err := writeFiles(c.Out, files); err != nil {
			return err
		}
	}
	if _, err := a.stdout.Write(out[c.Format]); err != nil {
		return fmt.Errorf("print trend: %w", err)
	}
	return nil
}

// read finds results. What is broken is said and left out: one file must not hide the others.
func (c *evalTrendCommand) read(a *app) (results []*evaluation.Results, err error) {
	leftOut := func(path string, err error) error {
		fmt.Fprintf(a.stderr, "warning: %s is left out: %v\n", path, err)
		return nil
	}
	err = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == c.Dir:
			return err
		case err != nil:
			return leftOut(path, err)
		case d.IsDir() || !strings.HasSuffix(path, ".json"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return leftOut(path, err)
		}
		if !resembles(text) {
			return nil
		}
		r, err := evaluation.ParseResults(text)
		if err != nil {
			return leftOut(path, err)
		}
		results = append(results, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	return results, nil
}

// resembles reports whether JSON wants to be results, and whether text is no JSON at all, which is
// worth a word too.
func resembles(text []byte) bool {
	var probe struct {
		ID    *string          `json:"evaluation_id"`
		Tries *json.RawMessage `json:"tries"`
	}
	if text = bytes.TrimSpace(text); json.Valid(text) && text[0] != '{' { // a list, a text or a number
		return false
	}
	return json.Unmarshal(text, &probe) != nil || probe.ID != nil && probe.Tries != nil
}
