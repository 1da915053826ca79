package retrieval

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// Codes of the errors of this package. An answer other than 2xx is "http_" and its
// status: "http_404", "http_503".
const (
	codeBadURL                 = "bad_url"                  // final
	codeUnsupportedScheme      = "unsupported_scheme"       // final
	codePrivateAddress         = "private_address"          // final
	codeRedirectLoop           = "redirect_loop"            // final; also too many redirects
	codeUnsupportedContentType = "unsupported_content_type" // final; also content encodings, and what they do not decode
	codeTooLarge               = "too_large"                // final
	codeTLS                    = "tls"                      // final
	codeEmptyBody              = "empty_body"               // final
	codeNotFound               = "not_found"                // final; an API does not know it, the page may exist
	codeAPIRefused             = "api_refused"              // final; for another reason
	codePDFDamaged             = "pdf_damaged"              // final
	codePDFLocked              = "pdf_locked"               // final; it asks for a password
	codePDFTooHeavy            = "pdf_too_heavy"            // final; more memory or time than a PDF may take
	codeDNS                    = "dns"
	codeConnect                = "connect" // also a connection that broke
	codeTimeout                = "timeout"
	codeRateLimited            = "rate_limited" // an API takes no more requests for a while
	codePDFReader              = "pdf_reader"   // the reader of PDF files does not start
)

func final(code, format string, args ...any) *commentator.Error {
	return &commentator.Error{Code: code, Message: fmt.Sprintf(format, args...), Final: true}
}

func transient(code, format string, args ...any) *commentator.Error {
	return &commentator.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// later is the error of an API that takes no more requests for so long.
func later(wait time.Duration, format string, args ...any) *commentator.Error {
	return &commentator.Error{Code: codeRateLimited, Message: fmt.Sprintf(format, args...), Later: true, After: wait}
}

// worthWaiting reports whether err is of a limit of requests that ends while the job may still be
// put off. A longer one leaves the page to read.
func worthWaiting(ctx context.Context, err error) bool {
	left := commentator.Patience(ctx)
	return commentator.IsLater(err) && left > 0 && commentator.After(err) <= left
}

// requestError says why no answer, or no whole answer, came from link. Its sentence names
// the cause without net/http's wrapping, which would repeat the address.
func requestError(link *url.URL, err error) *commentator.Error {
	var known *commentator.Error
	if errors.As(err, &known) { // from checkRedirect
		return known
	}
	shown, host := shorten(link.Redacted()), link.Host
	var failed *url.Error
	if errors.As(err, &failed) {
		if u, perr := url.Parse(failed.URL); perr == nil && u.Host != "" {
			host = u.Host // of the redirect that failed
		}
	}
	err = unwrapURLError(err)
	var (
		private *privateAddressError
		timeout net.Error
		dns     *net.DNSError
	)
	switch {
	case errors.As(err, &private):
		return final(codePrivateAddress, "%s leads to %s at %s, which is not a public address. If it may be read, add it to RETRIEVAL_ALLOW_HOSTS.", shown, host, private.addr)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return transient(codeTimeout, "%s did not answer in time. Try again later or raise RETRIEVAL_TIMEOUT, or its timeout in domain_rules.yaml.", shown)
	case errors.As(err, &dns):
		return transient(codeDNS, "The host %q has no address (%s). Check the spelling of the link and the DNS of this machine.", dns.Name, dns.Err)
	case isDamaged(err):
		return final(codeUnsupportedContentType, "%s sent a damaged gzip body (%v). The server is at fault; look for another address of the page.", shown, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return transient(codeConnect, "The answer of %s broke off before its end. Try again later; if it stays so, the server is at fault.", shown)
	case isTLS(err):
		return final(codeTLS, "No secure connection to %s could be made (%v). The site's certificate or TLS set-up is wrong.", host, err)
	}
	return transient(codeConnect, "%s could not be read from %s (%v). Check that the server is up.", shown, host, err)
}

// isDamaged reports whether a body is not of the encoding that it is declared to be.
func isDamaged(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt)
}

func isTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		ech    *tls.ECHRejectionError
	)
	// "http: server gave HTTP response to HTTPS client" has its own sentinel.
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &ech) || errors.Is(err, http.ErrSchemeMismatch)
}

// statusError says what an answer other than 2xx means for link.
func statusError(link *url.URL, status int) *commentator.Error {
	shown := shorten(link.Redacted())
	code := fmt.Sprintf("http_%d", status)
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		return transient(code, "%s answered %s. Try again later.", shown, text)
	case status >= 500:
		return transient(code, "%s answered %s. The server has a problem; try again later.", shown, text)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return final(code, "%s answered %s. The page needs a login or keeps programs out; share a public one.", shown, text)
	case status == http.StatusNotFound || status == http.StatusGone:
		return final(code, "%s answered %s. The page does not exist; check the link.", shown, text)
	}
	return final(code, "%s answered %s instead of a page. Check the link.", shown, text)
}

func unwrapURLError(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
