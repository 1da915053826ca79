//go:build !race

package retrieval

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// Each of these starts the PDF reader over and over, or has it compiled anew. Under the race
// detector, which watches every byte of that, they take minutes and see nothing more: the reader
// is one goroutine. `make race` runs them without it.

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

// deflated packs a text that repeats.
func deflated(t *testing.T, text string, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	for range times {
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
