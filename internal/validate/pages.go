package validate

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/data/demo"
)

// PageDelay is after how long the pages of test jobs answer: as long as a page on the net takes,
// so that what is compared are jobs as they are, and not only their computing.
const PageDelay = 250 * time.Millisecond

// pages serves articles on loopback, each under as many addresses as one likes.
type pages struct {
	host   string // host:port
	server *http.Server
}

func servePages(ctx context.Context) (*pages, error) {
	articles, err := demo.Articles()
	if err != nil {
		return nil, err
	}
	var how net.ListenConfig
	l, err := how.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the pages of test jobs: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{number}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseUint(r.PathValue("number"), 10, 31)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		select {
		case <-time.After(PageDelay):
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(articles[n%uint64(len(articles))]) // the reader went away
	})
	p := &pages{host: l.Addr().String(), server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = p.server.Serve(l) }() // ends with close
	return p, nil
}

// links are n addresses from a number on.
func (p *pages) links(from, n int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, "<http://%s/%d> ", p.host, i)
	}
	return strings.TrimSpace(b.String())
}

func (p *pages) close() { _ = p.server.Close() }
