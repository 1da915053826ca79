// Command record writes data/eval_dataset.json and the evidence of its examples: it serves the
// articles on loopback and reads them with the worker's own retrieval. Then it records the
// answers of a simulated model about all of them.
package main

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/retrieval"
)

// site is where the articles would be, if they were anywhere.
const site = "https://articles.technoshare.example/"

// recordedAt is the same for all, so that the files change only when the evidence does.
var recordedAt = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

// article is a page and what is expected of a comment on it.
type article struct {
	evaluation.Example
	page []byte // HTML
}

func main() {
	if err := run(context.Background(), "data"); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	articles, err := readArticles(dir)
	if err != nil {
		return err
	}
	pages := map[string][]byte{}
	for _, a := range articles {
		pages["/"+a.ID] = a.page
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	}))
	defer server.Close()
	retriever, err := retrieval.New(retrieval.Config{AllowHosts: []string{"loopback"}, Now: func() time.Time { return recordedAt }})
	if err != nil {
		return err
	}
	themes, err := data.Load(ctx, dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "eval_dataset.json")
	d, err := evaluation.EditDataset(path, themes.ThemeNames())
	if err != nil {
		return err
	}
	d.Name, d.Version = "technoshare_eval", "2"
	d.Description = "Links that people of a team of engineers might share, with what was read of the pages."
	for _, a := range articles {
		e, err := retriever.Retrieve(ctx, server.URL+"/"+a.ID)
		if err != nil {
			return fmt.Errorf("read %s: %w", a.ID, err)
		}
		a.Recorded = at(e, server.URL+"/", site)
		d.Put(a.Example)
	}
	if err := d.Save(); err != nil {
		return err
	}
	if err := recordCassette(ctx, dir, themes, d.Examples); err != nil {
		return err
	}
	fmt.Printf("%d examples, version hash %s\n", len(d.Examples), d.Hash())
	return nil
}

// at replaces the address of the server.
func at(e commentator.Evidence, from, to string) commentator.Evidence {
	for i := range e.Sources {
		e.Sources[i].URL = strings.Replace(e.Sources[i].URL, from, to, 1)
	}
	for i := range e.Snippets {
		e.Snippets[i].SourceURL = strings.Replace(e.Snippets[i].SourceURL, from, to, 1)
	}
	for i := range e.Errors {
		e.Errors[i] = strings.ReplaceAll(e.Errors[i], from, to)
	}
	return e
}

// fromDemo are the articles of the demo, which are pages already.
var fromDemo = []evaluation.Example{
	{ID: "prompt-regression-tests", ExpectedTheme: "LLMOps & Evaluation", Tags: []string{"llmops", "prompt", "demo"}, SlackText: "regression tests for prompts, we need this"},
	{ID: "trace-sampling", ExpectedTheme: "LLMOps & Evaluation", Tags: []string{"llmops", "tracing", "demo"}, SlackText: "Good overview of trace sampling"},
	{ID: "hybrid-search", ExpectedTheme: "RAG / Retrieval Systems", Tags: []string{"rag", "search", "demo"}, SlackText: "keywords + vectors, nicely explained"},
	{ID: "resumable-agents", ExpectedTheme: "Agentic Workflows", Tags: []string{"agents", "reliability", "demo"}, SlackText: "agents that survive a crash"},
	{ID: "annotator-agreement", ExpectedTheme: "Data Labeling & Synthetic Data", Tags: []string{"data", "labeling", "demo"}, SlackText: "how to measure agreement between annotators"},
	{ID: "searchable-video", ExpectedTheme: "Multimodal / Video AI", Tags: []string{"video", "search", "demo"}, SlackText: "making a video archive searchable"},
	{ID: "write-ahead-logging", Tags: []string{"databases", "demo"}, SlackText: "WAL explained once more", Notes: "Fits none of our themes well."},
}

func readArticles(dir string) (all []article, err error) {
	for _, e := range fromDemo {
		a := article{Example: e}
		if a.page, err = os.ReadFile(filepath.Join(dir, "demo", "articles", e.ID+".html")); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	files, err := filepath.Glob(filepath.Join(dir, "eval", "articles", "*.txt"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		a, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f, err)
		}
		a.ID = strings.TrimSuffix(filepath.Base(f), ".txt")
		all = append(all, a)
	}
	for i := range all {
		all[i].URL = site + all[i].ID
		all[i].SlackText += " <" + all[i].URL + ">"
	}
	return all, nil
}

// parse reads lines "key: value", a blank line, and one paragraph a line.
func parse(text string) (a article, err error) {
	head, body, ok := strings.Cut(text, "\n\n")
	if !ok {
		return a, fmt.Errorf("there is no blank line behind the head")
	}
	var title string
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "theme":
			a.ExpectedTheme = value
		case "tags":
			a.Tags = strings.Split(value, ",")
		case "slack":
			a.SlackText = value
		case "title":
			title = value
		default:
			return a, fmt.Errorf("line %q begins with none of theme, tags, slack, title", line)
		}
	}
	if a.ExpectedTheme == "" {
		a.Notes = "Fits none of our themes well."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><html lang=\"en\"><head><title>%[1]s</title></head><body><article><h1>%[1]s</h1>\n", html.EscapeString(title))
	for line := range strings.Lines(body) {
		fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(strings.TrimSpace(line)))
	}
	b.WriteString("</article></body></html>\n")
	a.page = []byte(b.String())
	return a, nil
}
