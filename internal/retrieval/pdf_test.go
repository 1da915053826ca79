package retrieval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
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

// Files that are damaged, locked or made to hurt end in a reason, and none of them takes
// more than the sandbox has.
func TestHostilePDFs(t *testing.T) {
	good := newPDF("Tides", articleLines(6)).bytes()
	locked := newPDF("Tides", articleLines(6))
	locked.trailer += fmt.Sprintf(" /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] /Encrypt %d 0 R",
		locked.add("<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>", strings.Repeat("ab", 32), strings.Repeat("cd", 32)))
	unknownLock := newPDF("Tides", articleLines(6))
	unknownLock.trailer += fmt.Sprintf(" /Encrypt %d 0 R", unknownLock.add("<< /Filter /Nobody.Knows /V 99 >>"))
	endless := newPDF("", articleLines(1))
	endless.objects[1] = "<< /Type /Pages /Kids [] /Count 1000000 >>"
	circle := newPDF("", articleLines(1))
	circle.objects[1] = "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000 /Parent 2 0 R >>"
	// Each page says again and again, within a few hundred kilobytes, that 300 MB follow.
	bomb := newPDF("", articleLines(1))
	packed := deflated(t, strings.Repeat("BT (x) Tj ET ", 1<<16), 350)
	bomb.objects[3] = fmt.Sprintf("<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream", len(packed), packed)

	for name, tt := range map[string]struct {
		body  []byte
		codes []string // one of them
	}{
		"only a beginning":   {[]byte("%PDF-1.4\n"), []string{codePDFDamaged}},
		"no PDF at all":      {[]byte("<html><p>Sorry</p></html>"), []string{codePDFDamaged}},
		"cut in the middle":  {good[:300], []string{codePDFDamaged}},
		"locked":             {locked.bytes(), []string{codePDFLocked}},
		"locked by unknown":  {unknownLock.bytes(), []string{codePDFLocked}},
		"a million pages":    {endless.bytes(), []string{codePDFDamaged}},
		"pages in a circle":  {circle.bytes(), []string{codePDFDamaged, codePDFTooHeavy}},
		"300 MB in a stream": {bomb.bytes(), []string{codePDFDamaged, codePDFTooHeavy}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTest(t)
			s := serveBody(t, "application/pdf", string(tt.body))
			get(t, r, serveBody(t, "application/pdf", string(good)).URL) // the code is compiled
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, err := r.Retrieve(t.Context(), s.URL)
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			for _, code := range tt.codes {
				if commentator.ErrorCode(err) == code {
					refused(t, r, s.URL, code, true)
					tt.codes = nil
				}
			}
			if tt.codes != nil {
				t.Errorf("error %v with code %s, want one of %s", err, commentator.ErrorCode(err), tt.codes)
			}
			// Go's memory is beside that of the sandbox, which is reserved with its limit.
			if got := int64(after.Sys) - int64(before.Sys); got > 64<<20 {
				t.Errorf("took %d MB of memory", got>>20)
			}
			t.Logf("%v after %v", err, took.Round(time.Millisecond))
			if took > pdfTimeout+5*time.Second {
				t.Errorf("took %v", took)
			}
		})
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

// Nothing of the reader is there before the first PDF, and the compiled code afterwards.
func TestPDFReaderStartsWithTheFirstPDF(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "pdf")
	r := newTest(t, func(c *Config) { c.PDFCacheDir = dir })
	get(t, r, serveBody(t, "text/html", article(8)).URL)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there before the first PDF: %v", err)
	}
	get(t, r, serveBody(t, "application/pdf", string(newPDF("Tides", articleLines(6)).bytes())).URL)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("others may write code to run: %v", info.Mode())
	}
	if files, err := filepath.Glob(dir + "/*/*"); err != nil || len(files) != 1 {
		t.Errorf("compiled code %q, %v", files, err)
	}
}

// Where the folder cannot be used, PDFs are read all the same, and a warning says so.
func TestPDFReaderWithoutItsFolder(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := newTest(t, func(c *Config) {
		c.PDFCacheDir, c.Logger = taken, slog.New(slog.NewTextHandler(&log, nil))
	})
	s := serveBody(t, "application/pdf", string(newPDF("Tides", articleLines(6)).bytes()))
	get(t, r, s.URL)
	if n := strings.Count(log.String(), "the folder for compiled code"); n != 1 {
		t.Errorf("%d warnings: %s", n, &log)
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
