//go:build linux

package main

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/analysis/openaitest"
)

// kinds are the pages of the site by the first part of their path, with how many of a
// hundred links lead to each.
var kinds = []struct {
	name  string
	share int
}{
	{"article", 45}, // a readable page
	{"slow", 12},    // one that takes a while
	{"big", 12},     // one with a lot of text, which becomes large artifacts
	{"thin", 8},     // one without enough text for a comment
	{"missing", 8},  // 404
	{"flaky", 8},    // 503 the first time
	{"off", 7},      // one of which nothing is recorded
}

// site serves pages and model answers to the worker on loopback.
type site struct {
	bell     *bell
	server   *http.Server
	port     int
	articles [][]byte
	thin     []byte

	mu   sync.Mutex
	seen map[string]int // requests by path
}

func startSite(top string, b *bell) (*site, error) {
	s := &site{bell: b, seen: map[string]int{}}
	var err error
	if s.articles, err = articlesOf(top); err != nil {
		return nil, err
	}
	if s.thin, err = os.ReadFile(filepath.Join(top, "data", "demo", "pages", "short-note.html")); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/", s.model)
	mux.HandleFunc("/", s.page)
	s.server = &http.Server{Handler: mux}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

// articlesOf reads the readable pages of the demo.
func articlesOf(top string) ([][]byte, error) {
	names, err := filepath.Glob(filepath.Join(top, "data", "demo", "articles", "*.html"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("find articles: %d files, %w", len(names), err)
	}
	var articles [][]byte
	for _, name := range names {
		page, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		articles = append(articles, page)
	}
	return articles, nil
}

func (s *site) page(w http.ResponseWriter, r *http.Request) {
	s.bell.ring(eventPage, 1)
	s.mu.Lock()
	s.seen[r.URL.Path]++
	times := s.seen[r.URL.Path]
	s.mu.Unlock()
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.URL.Path))
	article := s.articles[int(h.Sum32())%len(s.articles)]
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch {
	case kind == "missing":
		http.NotFound(w, r)
	case kind == "flaky" && times == 1:
		http.Error(w, "not now", http.StatusServiceUnavailable)
	case kind == "thin":
		_, _ = w.Write(s.thin)
	case kind == "big":
		_, _ = w.Write(enlarged(article, 40))
	default:
		if kind == "slow" {
			pause(r, time.Second)
		}
		_, _ = w.Write(article)
	}
}

// enlarged is a page with its paragraphs several times.
func enlarged(page []byte, times int) []byte {
	text := string(page)
	from, to := strings.Index(text, "<p>"), strings.LastIndex(text, "</p>")
	if from < 0 || to < from {
		return page
	}
	var b strings.Builder
	b.WriteString(text[:from])
	for i := range times {
		fmt.Fprintf(&b, "<h2>Part %d</h2>\n", i+1)
		b.WriteString(text[from : to+len("</p>")])
	}
	b.WriteString(text[to+len("</p>"):])
	return []byte(b.String())
}

// model answers chat completions; some take longer than others.
func (s *site) model(w http.ResponseWriter, r *http.Request) {
	s.bell.ring(eventCall, 1)
	pause(r, 30*time.Millisecond)
	(&openaitest.Handler{}).ServeHTTP(w, r) // a new one each time: it keeps what it is asked
}

func pause(r *http.Request, d time.Duration) {
	select {
	case <-r.Context().Done():
	case <-time.After(d):
	}
}

// link is the address of page n of a kind. Of those under the name localhost nothing is
// recorded, see samplingRules.
func (s *site) link(kind string, n int) string {
	host := "127.0.0.1"
	if kind == "off" {
		host = offDomain
	}
	return fmt.Sprintf("http://%s:%d/%s/%d", host, s.port, kind, n)
}

const (
	offDomain     = "localhost"
	samplingRules = "rules:\n  - {id: chaos, detail: 'off', domain: " + offDomain + "}\n"
)
