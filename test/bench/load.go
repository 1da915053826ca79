//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/technoshare/commentator/internal/analysis/openaitest"
)

// pageCount is how many pages there are; every worker reads them in the same order.
const pageCount = 8

// searches of the model in stage A make twelve detail spans of a job: a page, five model calls
// and four searches in stage A, a model call in stage B, and the post.
const (
	searches       = 4
	detailsOfAJob  = 1 + searches + 1 + searches + 1 + 1
	contentOfAJob  = 210_000 // bytes that telemetry in full records of a job, at least
	messagesOfAJob = 7
)

// load is what the workers talk to besides the Collector: pages, a model and Slack, each of
// which answers at once. It also takes what Collectors export.
type load struct {
	url      string
	listener net.Listener
	server   *http.Server
	pages    [pageCount][]byte
	model    openaitest.Handler

	mu      sync.Mutex
	answers map[[sha256.Size]byte][]byte // of the model, by request
	sunk    int64                        // bytes that Collectors exported
}

func startLoad(top string) (*load, error) {
	l := &load{model: openaitest.Handler{Searches: searches}, answers: map[[sha256.Size]byte][]byte{}}
	paragraphs, err := articleParagraphs(filepath.Join(top, "data", "demo", "articles"))
	if err != nil {
		return nil, err
	}
	for i := range l.pages {
		l.pages[i] = longPage(paragraphs, i)
	}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	l.url = "http://" + l.listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /article/{n}", l.page)
	mux.HandleFunc("POST /v1/chat/completions", l.chat)
	mux.HandleFunc("POST /slack/chat.postMessage", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true,"channel":"C0123456789","ts":"1700000001.000200"}`)
	})
	mux.HandleFunc("POST /sink/v1/traces", l.sink)
	l.server = &http.Server{Handler: mux}
	go func() { _ = l.server.Serve(l.listener) }()
	return l, nil
}

func (l *load) close() { _ = l.server.Close() }

func (l *load) page(w http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscan(r.PathValue("n"), &n); err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(l.pages[n%pageCount])
}

// chat gives the answer of the stand-in for a model, which takes milliseconds to make, once
// for each request and from then on from memory.
func (l *load) chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	key := sha256.Sum256(body)
	l.mu.Lock()
	answer, known := l.answers[key]
	l.mu.Unlock()
	if !known {
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		l.model.ServeHTTP(rec, r)
		if answer = rec.Body.Bytes(); rec.Code != http.StatusOK {
			http.Error(w, string(answer), rec.Code)
			return
		}
		l.mu.Lock()
		l.answers[key] = answer
		l.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// sink takes what a Collector exports.
func (l *load) sink(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.sunk += n
	l.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
}

var paragraph = regexp.MustCompile(`(?s)<p>(.*?)</p>`)

// articleParagraphs are those of the demo's articles.
func articleParagraphs(dir string) (all []string, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.html"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("find articles: %d files, %w", len(names), err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for _, m := range paragraph.FindAllStringSubmatch(string(body), -1) {
			all = append(all, strings.Join(strings.Fields(m[1]), " "))
		}
	}
	return all, nil
}

// secrets is how many sentences of a page hold one.
const secrets = 8

// longPage is page n: all paragraphs, from another one on each, with secrets among those that
// are kept of it.
func longPage(paragraphs []string, n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Report %d on how we work</title></head><body><article><h1>Report %d on how we work</h1>`, n, n)
	for i := range paragraphs {
		b.WriteString("<p>" + paragraphs[(n*11+i)%len(paragraphs)])
		if i < secrets {
			b.WriteString(" " + html.EscapeString(withSecret(i, n)))
		}
		b.WriteString("</p>\n")
	}
	b.WriteString("</article></body></html>")
	return []byte(b.String())
}

// withSecret is a sentence with one. The beginnings of tokens are put together here, so that
// scanners of secrets leave this file alone.
func withSecret(i, n int) string {
	word := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(n)}))
	return [secrets]string{
		"Questions about this part of the report go to jane" + word[:4] + "@example.org and nobody else.",
		"The script of that week still holds the token gh" + "p_" + word[:36] + " of the account that builds.",
		"Its request is sent with Authorization: Bearer " + word[:40] + " to the server of the team.",
		"The old address was https://jane:" + word[:12] + "@example.org/report and worked for a year.",
		"A colleague wrote password=" + word[:14] + " into the description of the ticket.",
		"The model is asked with the key sk" + "-" + word[:40] + " from the settings of the test.",
		"The link https://example.org/?x=1&access_token=" + word[:20] + " was shared in the channel.",
		"The first to notice was <@U0" + strings.ToUpper(word[:9]) + "> on a Friday afternoon.",
	}[i]
}
