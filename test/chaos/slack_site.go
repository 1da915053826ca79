//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// editions is a site of pages that all differ: each sentence of page n names the edition n, so
// that a comment shows which page it is about.
type editions struct {
	bell     *bell
	server   *http.Server
	port     int
	articles [][]byte
}

const editionsPath = "/edition/"

func startEditions(top string, b *bell) (*editions, error) {
	e := &editions{bell: b}
	var err error
	if e.articles, err = articlesOf(top); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e.port = l.Addr().(*net.TCPAddr).Port
	e.server = &http.Server{Handler: http.HandlerFunc(e.page)}
	go func() { _ = e.server.Serve(l) }()
	return e, nil
}

// link is the address of edition n.
func (e *editions) link(n int) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s%d", e.port, editionsPath, n)
}

func (e *editions) page(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, editionsPath))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	e.bell.ring(eventPage, 1)
	pause(r, time.Duration(n%7)*20*time.Millisecond) // so that jobs overtake each other
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(edition(e.articles[n%len(e.articles)], n))
}

var sentenceEnd = regexp.MustCompile(`([.!?])( |</p>)`)

// edition marks each sentence of a page's paragraphs.
func edition(page []byte, n int) []byte {
	head, body, found := bytes.Cut(page, []byte("<p>"))
	if !found {
		return page
	}
	mark := fmt.Sprintf(" in edition K%d$1$2", n)
	return bytes.Join([][]byte{head, sentenceEnd.ReplaceAll(body, []byte(mark))}, []byte("<p>"))
}

var editionMark = regexp.MustCompile(`edition K(\d+)\b`)

// editionsIn returns the editions that a text names, each once, in the order of their mention.
func editionsIn(text string) []int {
	var all []int
	seen := map[int]bool{}
	for _, m := range editionMark.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		if !seen[n] {
			seen[n] = true
			all = append(all, n)
		}
	}
	return all
}
