package retrieval

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestPDFBecomesEvidence(t *testing.T) {
	file := string(newPDF("Tides", articleLines(6), articleLines(6)).bytes())
	for name, kind := range map[string]string{"declared": "application/pdf", "declared as HTML": "text/html", "octet-stream": "application/octet-stream", "no type": ""} {
		t.Run(name, func(t *testing.T) {
			s := serveBody(t, kind, file)
			e := get(t, newTest(t), s.URL+"/tides.pdf")
			if e.Adapter != "GenericAdapter" || e.Coverage != commentator.CoverageFull || len(e.Errors) != 0 {
				t.Errorf("adapter %q, coverage %q, errors %q", e.Adapter, e.Coverage, e.Errors)
			}
			want := []commentator.Source{{URL: s.URL + "/tides.pdf", Title: "Tides", FetchedAt: testTime}}
			if diff := cmp.Diff(want, e.Sources); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
			text := textOf(e)
			if n := strings.Count(text, "His tables are still the longest continuous record of the coast."); n != 12 {
				t.Errorf("%d of 12 paragraphs are whole in %q", n, text)
			}
		})
	}
}

func TestLongPDFIsCut(t *testing.T) {
	var pages [][]string
	for range maxPDFPages + 5 {
		pages = append(pages, articleLines(1))
	}
	s := serveBody(t, "application/pdf", string(newPDF("", pages...).bytes()))
	for name, change := range map[string]func(*Config){
		"by the budget": func(c *Config) { c.MaxSnippets = 3 },
		"by the pages":  func(c *Config) { c.MaxSnippets = 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			e := get(t, newTest(t, change), s.URL)
			if e.Coverage != commentator.CoveragePartial || !strings.Contains(strings.Join(e.Errors, ""), "its end is missing") {
				t.Errorf("coverage %s, errors %q", e.Coverage, e.Errors)
			}
		})
	}
}

// A file that names itself by nothing that says anything has its first heading as its title.
func TestTitleOfAPDFWithoutOne(t *testing.T) {
	file := newPDF("Microsoft Word - x.doc", append([]string{"Tides of the North"}, articleLines(6)...)).bytes()
	if e := get(t, newTest(t), serveBody(t, "application/pdf", string(file)).URL); e.Sources[0].Title != "Tides of the North" {
		t.Errorf("title %q", e.Sources[0].Title)
	}
}

func TestPDFWithoutText(t *testing.T) {
	e := get(t, newTest(t), serveBody(t, "application/pdf", string(newPDF("Scan", nil).bytes())).URL)
	if e.Coverage != commentator.CoverageFailed || len(e.Errors) != 1 || !strings.Contains(e.Errors[0], "scanned pages") {
		t.Errorf("coverage %s, errors %q", e.Coverage, e.Errors)
	}
}

func TestSlowPDFIsGivenUp(t *testing.T) {
	r := newTest(t)
	r.generic.pdf.timeout = time.Nanosecond
	s := serveBody(t, "application/pdf", string(newPDF("Tides", articleLines(6)).bytes()))
	refused(t, r, s.URL, codePDFTooHeavy, true)
}

// A caller that gives up while a PDF is read learns that, and the next PDF is read.
func TestCancelledPDF(t *testing.T) {
	r := newTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	file := string(newPDF("Tides", articleLines(6)).bytes())
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/pdf")
		w.Write([]byte(file))
	})
	r.generic.pdf.turn <- struct{}{} // another PDF is being read
	done := make(chan error)
	go func() {
		_, err := r.Retrieve(ctx, s.URL)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || commentator.IsFinal(err) {
		t.Errorf("error %v", err)
	}
	<-r.generic.pdf.turn
	if e := get(t, r, s.URL); len(e.Snippets) == 0 {
		t.Error("the next PDF is not read")
	}
}

func TestPDFLinesBecomeParagraphs(t *testing.T) {
	for name, tt := range map[string]struct{ pages, want []string }{
		"a paragraph": {[]string{"The water rose by a hand during\r\nthe night of the storm."}, []string{"The water rose by a hand during the night of the storm."}},
		"divided words": {
			[]string{"The harbour mas\u00ad\r\nter wrote it down in the wa\ufffeter book, a state-of-\r\nthe-art record in-\r\nDeed."},
			[]string{"The harbour master wrote it down in the water book, a state-of-the-art record in- Deed."},
		},
		"short last line": {
			[]string{"The water rose by a hand during the night\r\nof the storm.\r\nThe harbour master wrote it down at six in\r\nthe morning."},
			[]string{"The water rose by a hand during the night of the storm.", "The harbour master wrote it down at six in the morning."},
		},
		"headings": {
			[]string{"1 Introduction\r\nThe water rose by a hand during the night\r\nof the storm.\r\n2.1 Tides of Spring\r\nThe harbour master wrote it down at six in\r\nthe morning."},
			[]string{"1 Introduction", "The water rose by a hand during the night of the storm.", "2.1 Tides of Spring", "The harbour master wrote it down at six in the morning."},
		},
		"over a page": {
			[]string{"The water rose by a hand during\r\n7", "8\r\nthe night of the storm."},
			[]string{"The water rose by a hand during the night of the storm."},
		},
		"empty lines": {[]string{"One is here.\n\n\nTwo is here."}, []string{"One is here.", "Two is here."}},
		"nothing":     {[]string{"", "\r\n \r\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, pdfBlocks(tt.pages)); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTitlesThatSayNothing(t *testing.T) {
	for title, nothing := range map[string]bool{"untitled": true, "Microsoft Word - Report.doc": true, "paper.tex": true, "Document1": true, "Tides of the Documents": false, "Word by Word": false} {
		if defaultTitle.MatchString(title) != nothing {
			t.Errorf("%q: %v", title, !nothing)
		}
	}
}
