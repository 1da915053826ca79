package retrieval

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/test/sandbox"
)

// refused checks that link leads to an error of a code, with evidence that says so.
func refused(t *testing.T, r *Retriever, link, code string, final bool) string {
	t.Helper()
	return refusedBy(t, r, link, "GenericAdapter", code, final)
}

func refusedBy(t *testing.T, r *Retriever, link, adapter, code string, final bool) string {
	t.Helper()
	return refusedIn(t.Context(), t, r, link, adapter, code, final).Message
}

// putOff checks that a job which may be put off for patience is to be tried again after that time, and
// returns the error's message.
func putOff(t *testing.T, patience, after time.Duration, r *Retriever, link, adapter string) string {
	t.Helper()
	err := refusedIn(commentator.WithPatience(t.Context(), patience), t, r, link, adapter, codeRateLimited, false)
	if !err.Later || err.After != after {
		t.Errorf("later %v, after %v; want after %v: %v", err.Later, err.After, after, err)
	}
	return err.Message
}

func refusedIn(ctx context.Context, t *testing.T, r *Retriever, link, adapter, code string, final bool) *commentator.Error {
	t.Helper()
	e, err := r.Retrieve(ctx, link)
	var got *commentator.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v of type %T, want *commentator.Error with code %s", err, err, code)
	}
	if got.Code != code || got.Final != final {
		t.Errorf("code %q, final %v; want %q, %v: %v", got.Code, got.Final, code, final, err)
	}
	if e.Coverage != commentator.CoverageFailed || len(e.Errors) != 1 || e.Errors[0] != err.Error() {
		t.Errorf("evidence does not tell the failure: %+v", e)
	}
	if e.Sources == nil || e.Snippets == nil || e.Adapter != adapter {
		t.Errorf("evidence is incomplete: %+v", e)
	}
	if !strings.HasSuffix(got.Message, ".") || strings.Count(got.Message, ". ") == 0 {
		t.Errorf("%q does not say both what was wrong and what to do", got.Message)
	}
	return got
}

func TestStatusCodes(t *testing.T) {
	for status, final := range map[int]bool{
		400: true, 401: true, 403: true, 404: true, 410: true, 418: true, 451: true, 300: true, 304: true,
		408: false, 425: false, 429: false, 500: false, 502: false, 503: false, 504: false, 599: false,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		refused(t, newTest(t), s.URL, "http_"+itoa(status), final)
	}
}

func TestLinksThatAreNone(t *testing.T) {
	r := newTest(t)
	for link, code := range map[string]string{
		"":                         codeBadURL,
		"   ":                      codeBadURL,
		"example.com/page":         codeBadURL,
		"http://":                  codeBadURL,
		"https:///path":            codeBadURL,
		"http://ex ample.com":      codeBadURL,
		"http://[::1":              codeBadURL,
		"http://host:port/":        codeBadURL,
		"http://127.0.0.1:99999/":  codeBadURL,
		"https://host:0/":          codeBadURL,
		"http://%zz/":              codeBadURL,
		"http://u:secret@host/":    codeBadURL,
		"http://u@host/":           codeBadURL,
		"ftp://example.com/x":      codeUnsupportedScheme,
		"file:///etc/passwd":       codeUnsupportedScheme,
		"javascript:alert(1)":      codeUnsupportedScheme,
		"gopher://127.0.0.1:6379/": codeUnsupportedScheme,
		"mailto:a@example.com":     codeUnsupportedScheme,
	} {
		t.Run(link, func(t *testing.T) {
			if msg := refused(t, r, link, code, true); strings.Contains(msg, "secret") {
				t.Errorf("message shows the password: %q", msg)
			}
		})
	}
}

func TestUnreachableHosts(t *testing.T) {
	closed, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	refused(t, newTest(t), "http://"+closed+"/", codeConnect, false)
	// .invalid never resolves (RFC 2606).
	refused(t, newTest(t), "http://no-such-host.invalid/", codeDNS, false)
}

func TestBrokenConnections(t *testing.T) {
	for name, answer := range map[string]string{
		"closed at once":     "",
		"no HTTP":            "SSH-2.0-OpenSSH_9.9\r\n",
		"cut in the headers": "HTTP/1.1 200 OK\r\nContent-Ty",
		"cut in the body":    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 500\r\n\r\n<p>Half",
		"bad chunk":          "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"endless headers":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		"broken gzip":        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(conn, answer)
				conn.Close()
			})
			refused(t, newTest(t), s.URL, codeConnect, false)
		})
	}
}

// A body that is not what its encoding says will not be so the next time. One that broke off may.
func TestDamagedBodies(t *testing.T) {
	page := gzipped(t, []byte("<p>"+strings.Repeat("The tide comes and goes, and nobody asks it why. ", 50)), 1)
	changed := func(at int, to byte) string {
		b := bytes.Clone(page)
		b[at] = to
		return string(b)
	}
	for name, tt := range map[string]struct {
		body, code string
		final      bool
		want       string
	}{
		"no gzip":        {"<p>The tide comes and goes.</p>", codeUnsupportedContentType, true, "sent a damaged gzip body (gzip: invalid header)"},
		"wrong checksum": {changed(len(page)-8, page[len(page)-8]+1), codeUnsupportedContentType, true, "sent a damaged gzip body (gzip: invalid checksum)"},
		"corrupt data":   {changed(10, 0xff), codeUnsupportedContentType, true, "sent a damaged gzip body (flate: corrupt input"},
		"broke off":      {string(page[:len(page)/2]), codeConnect, false, "broke off before its end"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("Content-Encoding", "gzip")
				io.WriteString(w, tt.body)
			})
			if msg := refused(t, newTest(t), s.URL, tt.code, tt.final); !strings.Contains(msg, tt.want) {
				t.Errorf("%q does not say %q", msg, tt.want)
			}
		})
	}
}

func TestPortThatDoesNotExistIsNamed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:70000/")
		w.WriteHeader(http.StatusFound)
	})
	for link, want := range map[string]string{"http://127.0.0.1:99999/": "names port 99999, which does not exist", s.URL: "redirects to a bad address. The link"} {
		if msg := refused(t, newTest(t), link, codeBadURL, true); !strings.Contains(msg, want) {
			t.Errorf("%q does not say %q", msg, want)
		}
	}
}

func TestUnsupportedContent(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00\x01", 100)
	for _, tt := range []struct{ name, contentType, body, mention string }{
		{"image", "image/png", png, "an image (image/png)"},
		{"image declared as text", "text/plain", png, "an image (image/png)"},
		{"video", "video/mp4", "x", "video file"},
		{"zip", "application/zip", "PK\x03\x04", "application/zip"},
		{"JSON", "application/json", "{}", "application/json"},
		{"binary", "application/octet-stream", "\x00\x01\x02\x03", "a binary file"},
		{"binary declared as HTML", "text/html", "\x00\x01\x02\x03", "a binary file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveBody(t, tt.contentType, tt.body)
			if msg := refused(t, newTest(t), s.URL, codeUnsupportedContentType, true); !strings.Contains(msg, tt.mention) {
				t.Errorf("%q does not say %q", msg, tt.mention)
			}
		})
	}
	t.Run("unasked encoding", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Encoding", "br")
			w.Write([]byte("\x0b\x02\x80hello\x03"))
		})
		refused(t, newTest(t), s.URL, codeUnsupportedContentType, true)
	})
}

func TestEmptyBodies(t *testing.T) {
	for name, body := range map[string]string{"nothing": "", "blanks": " \n\t\r\n"} {
		t.Run(name, func(t *testing.T) {
			refused(t, newTest(t), serveBody(t, "text/html", body).URL, codeEmptyBody, true)
		})
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	refused(t, newTest(t), s.URL, codeEmptyBody, true)
}

// Neither a page of 50 MB nor a small one that unpacks to 50 MB is read beyond the limit.
func TestHugePagesAreRefusedInLittleMemory(t *testing.T) {
	chunk := []byte(strings.Repeat("<p>The tide comes and goes.</p>", 1<<15)) // 1 MB
	bomb := gzipped(t, chunk, 50)
	handlers := map[string]http.HandlerFunc{
		"declared length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Length", itoa(50<<20))
			w.Write(chunk)
		},
		"50 MB in chunks": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for range 50 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		},
	}
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			s := serve(t, h)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			refused(t, newTest(t), s.URL, codeTooLarge, true)
			runtime.ReadMemStats(&after)
			// io.ReadAll grows its buffer in steps, which adds up to about five times the limit.
			if got := after.TotalAlloc - before.TotalAlloc; got > 8*DefaultMaxBytes {
				t.Errorf("allocated %d MB", got>>20)
			}
		})
	}
}

func gzipped(t *testing.T, chunk []byte, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range times {
		if _, err := z.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRedirectsThatLeadNowhere(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/self":     "/self",
			"/ping":     "/pong",
			"/pong":     "/ping",
			"/file":     "file:///etc/passwd",
			"/password": "http://u:secret@example.com/",
			"/private":  "http://10.1.2.3/admin",
			"/metadata": "http://169.254.169.254/latest/meta-data/",
			"/endless":  "/" + strings.Repeat("x", 100_000),
		}[r.URL.Path]
		if to == "" { // an endless chain
			to = r.URL.Path + "x"
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	})
	for path, code := range map[string]string{
		"/self": codeRedirectLoop, "/ping": codeRedirectLoop, "/chain": codeRedirectLoop,
		"/file": codeUnsupportedScheme, "/password": codeBadURL, "/endless": codeBadURL,
		"/private": codePrivateAddress, "/metadata": codePrivateAddress,
	} {
		t.Run(path, func(t *testing.T) {
			if msg := refused(t, newTest(t), s.URL+path, code, true); strings.Contains(msg, "secret") {
				t.Errorf("message shows the password: %q", msg)
			}
		})
	}
	t.Run("no location", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) })
		refused(t, newTest(t), s.URL, "http_302", true)
	})
}

func TestSlowServers(t *testing.T) {
	brief := func(c *Config) { c.Timeout = 100 * time.Millisecond }
	t.Run("no answer", func(t *testing.T) {
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		refused(t, newTest(t, brief), s.URL, codeTimeout, false)
	})
	t.Run("stops in the body", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<p>Half of"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		refused(t, newTest(t, brief), s.URL, codeTimeout, false)
	})
}

// A caller that gives up learns that, not that the page was at fault.
func TestCancelledRetrievalIsNoVerdictOnThePage(t *testing.T) {
	asked := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := newTest(t).Retrieve(ctx, s.URL)
	if !errors.Is(err, context.Canceled) || commentator.IsFinal(err) {
		t.Errorf("error %v", err)
	}
}

func TestBadCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	refused(t, newTest(t), s.URL, codeTLS, true)

	plain := serveBody(t, "text/html", article(1))
	refused(t, newTest(t), strings.Replace(plain.URL, "http:", "https:", 1), codeTLS, true)
}
