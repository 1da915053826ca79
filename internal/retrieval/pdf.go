package retrieval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	// pdfMemoryPages is how much memory a PDF may take, in pages of 64 KiB: 128 MiB.
	pdfMemoryPages = 2048
	// pdfTimeout is how long a PDF may take once its reader has started; a paper of 40
	// pages takes a quarter of a second.
	pdfTimeout = 20 * time.Second
	// maxPDFPages bounds the work on a file that claims a million empty pages.
	maxPDFPages = 200
)

// errPDFSlow is the cause by which a file is given up that takes longer than pdfTimeout.
var errPDFSlow = errors.New("the time for one PDF is over")

// pdfReader gets the text of PDF files by PDFium, compiled to WebAssembly: a file can
// neither reach memory, files or the network of this process nor take more than its limits
// say. One file is read at a time. Everything that it needs is set up for that file and
// given back after it: nothing is there before the first PDF, and little between two.
//
// Setting up takes 0.1 s when cacheDir holds the compiled code, else 3 s. It needs no lock on
// that folder: other processes may share it.
type pdfReader struct {
	cacheDir string // empty: compiled anew each time
	timeout  time.Duration
	log      *slog.Logger
	turn     chan struct{} // one place
	unusable sync.Once     // says that cacheDir is
}

func newPDFReader(cacheDir string, log *slog.Logger) *pdfReader {
	return &pdfReader{cacheDir: cacheDir, timeout: pdfTimeout, log: log, turn: make(chan struct{}, 1)}
}

// read returns the text of a file until it has about as many characters as wanted. shown
// names the file in errors.
func (r *pdfReader) read(ctx context.Context, shown string, body []byte, wanted int) (document, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return document{}, ctx.Err()
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pool, end, err := r.start(inner)
	if err != nil {
		if ctx.Err() != nil {
			return document{}, ctx.Err()
		}
		return document{}, transient(codePDFReader, "%s is a PDF, and the reader of PDFs does not start (%v). Check the memory and the disk of this machine.", shown, err)
	}
	defer func() {
		cancel(nil) // closing a hostile file must take no time either
		end()
	}()
	slow := time.AfterFunc(r.timeout, func() { cancel(errPDFSlow) })
	defer slow.Stop()

	d, err := pdfDocument(inner, pool, body, wanted)
	switch {
	case err == nil:
		return d, nil
	case ctx.Err() != nil:
		return document{}, ctx.Err()
	case errors.Is(context.Cause(inner), errPDFSlow):
		return document{}, final(codePDFTooHeavy, "%s is a PDF that takes longer than %v to read. Share the page that describes it.", shown, r.timeout)
	case errors.Is(err, pdferrors.ErrPassword), errors.Is(err, pdferrors.ErrSecurity):
		return document{}, final(codePDFLocked, "%s is a PDF that asks for a password. Share one without.", shown)
	case isPDFError(err):
		return document{}, final(codePDFDamaged, "%s is a damaged PDF (%v). Check whether it opens in a browser.", shown, err)
	}
	return document{}, final(codePDFTooHeavy, "%s is a PDF that the reader gives up: it is damaged or needs more than %d MiB of memory. Share the page that describes it.", shown, pdfMemoryPages/16)
}

// isPDFError reports whether PDFium itself refused the file, rather than its sandbox.
func isPDFError(err error) bool {
	for _, known := range []error{pdferrors.ErrUnknown, pdferrors.ErrFile, pdferrors.ErrFormat, pdferrors.ErrPage, pdferrors.ErrSuccess, pdferrors.ErrUnexpected} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// start sets PDFium up. Whoever gets a pool has to call the function beside it.
func (r *pdfReader) start(ctx context.Context) (pdfium.Pool, func(), error) {
	if r.cacheDir != "" {
		pool, end, err := startCached(ctx, r.cacheDir)
		if err == nil || ctx.Err() != nil {
			return pool, end, err
		}
		r.unusable.Do(func() {
			r.log.WarnContext(ctx, "the folder for compiled code of the PDF reader cannot be used; each PDF takes seconds longer", "folder", r.cacheDir, "error", err)
		})
	}
	return startPDFium(ctx, pdfRuntime())
}

func startCached(ctx context.Context, dir string) (pdfium.Pool, func(), error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, nil, err
	}
	pool, end, err := startPDFium(ctx, pdfRuntime().WithCompilationCache(cache))
	if err != nil {
		return nil, nil, errors.Join(err, cache.Close(ctx))
	}
	return pool, func() {
		end()
		_ = cache.Close(ctx) // of the code in memory; the files stay
	}, nil
}

// pdfRuntime is the sandbox: bounded memory, and an end when the context ends.
func pdfRuntime() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling). // PDFium needs the latter
		WithMemoryLimitPages(pdfMemoryPages).
		WithCloseOnContextDone(true)
}

func startPDFium(ctx context.Context, runtime wazero.RuntimeConfig) (pdfium.Pool, func(), error) {
	memory, err := newPDFMemory(pdfMemoryPages * 64 << 10)
	if err != nil {
		return nil, nil, err
	}
	pool, err := webassembly.Init(webassembly.Config{
		Context: experimental.WithMemoryAllocator(ctx, memory), MaxTotal: 1, RuntimeConfig: runtime,
		FSConfig: wazero.NewFSConfig(), // no files; the default is all of /
		Stdout:   io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		memory.release()
		return nil, nil, err
	}
	return pool, func() {
		_ = pool.Close() // ends all that could look into the memory
		memory.release()
	}, nil
}

// pdfDocument reads a file page by page. Pages that cannot be read are left out, and so is
// what comes after a page that breaks the reader; more says so.
func pdfDocument(ctx context.Context, pool pdfium.Pool, body []byte, wanted int) (document, error) {
	reader, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return document{}, fmt.Errorf("start PDFium: %w", err)
	}
	file, err := reader.OpenDocument(&requests.OpenDocument{File: &body})
	if err != nil {
		return document{}, err
	}
	count, err := reader.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: file.Document})
	if err != nil {
		return document{}, err
	}
	var pages []string
	var failed error
	more, chars := false, 0
	for i := range count.PageCount {
		if i == maxPDFPages || chars >= wanted {
			more = true
			break
		}
		text, err := pdfPage(reader, file.Document, i)
		if err != nil {
			more, failed = true, err
			if !isPDFError(err) {
				break
			}
			continue
		}
		chars += utf8.RuneCountInString(text)
		pages = append(pages, text)
	}
	if len(pages) == 0 && failed != nil {
		return document{}, failed
	}
	d := document{title: pdfTitle(reader, file.Document), blocks: pdfBlocks(pages), whole: true, more: more}
	if d.title == "" && len(d.blocks) > 0 && utf8.RuneCountInString(d.blocks[0]) <= 150 {
		d.title = d.blocks[0]
	}
	return d, nil
}

func pdfPage(reader pdfium.Pdfium, file references.FPDF_DOCUMENT, index int) (string, error) {
	text, err := reader.GetPageText(&requests.GetPageText{Page: requests.Page{ByIndex: &requests.PageByIndex{Document: file, Index: index}}})
	if err != nil {
		return "", err
	}
	return text.Text, nil
}

// pdfTitle is what the file says of itself. What programs write there when nobody gave a
// title says nothing.
func pdfTitle(reader pdfium.Pdfium, file references.FPDF_DOCUMENT) string {
	title, err := reader.FPDF_GetMetaText(&requests.FPDF_GetMetaText{Document: file, Tag: "Title"})
	if err != nil {
		return ""
	}
	if t := oneLine(title.Value); !defaultTitle.MatchString(t) {
		return t
	}
	return ""
}
