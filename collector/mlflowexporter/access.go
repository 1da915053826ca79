package mlflowexporter

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"golang.org/x/net/http/httpguts"

	"github.com/technoshare/commentator/internal/httpaddress"
)

// maxMaxRequests is where more requests at one time are a mistake: a server of MLflow has a
// few workers.
const maxMaxRequests = 32

// ownHeaders are those that a request sets for itself, or that net/http takes from no list.
var ownHeaders = []string{"Accept-Encoding", "Content-Encoding", "Content-Length", "Trailer", "Transfer-Encoding", "User-Agent"}

// validateAccess checks what says how to reach the server.
func (c *Config) validateAccess() error {
	var errs []error
	if c.Endpoint == "" {
		errs = append(errs, errors.New("`endpoint` must be set to the address of the MLflow server, for instance http://127.0.0.1:5000"))
	} else if _, err := httpaddress.Parse(c.Endpoint); err != nil {
		errs = append(errs, fmt.Errorf("`endpoint`: %w", err))
	}
	if c.UIURL != "" {
		if u, err := httpaddress.Parse(c.UIURL); err != nil {
			errs = append(errs, fmt.Errorf("`ui_url`: %w", err))
		} else if u.User != nil {
			errs = append(errs, errors.New("`ui_url` must hold no credentials, since it is written into the notes of runs: remove what is before the @"))
		}
	}
	if h := c.HostHeader; h != "" {
		if u, err := httpaddress.Parse("http://" + h); err != nil || u.Host != h || strings.HasSuffix(h, ":") {
			errs = append(errs, errors.New("`host_header` must be a host, or host:port with a port of 1 to 65535, such as mlflow.example.org: remove http:// and path"))
		}
	}
	said := map[string]string{}
	for name, value := range c.Headers.Iter {
		canonical := http.CanonicalHeaderKey(name)
		if other, twice := said[canonical]; twice {
			errs = append(errs, fmt.Errorf("`headers` must not hold %s and %s, which are one header: remove one", min(name, other), max(name, other)))
		}
		said[canonical] = name
		switch { // the value may be a secret, and is not repeated
		case slices.Contains(ownHeaders, canonical):
			errs = append(errs, fmt.Errorf("`headers` must not hold %s, which each request sets for itself: remove it", name))
		case !httpguts.ValidHeaderFieldName(name):
			errs = append(errs, fmt.Errorf("`headers`: %q is no name of a header: use letters, digits and hyphens, such as X-Team", name))
		case !httpguts.ValidHeaderFieldValue(string(value)):
			errs = append(errs, fmt.Errorf("`headers`: the value of %s has a line break or another control character: remove it", name))
		}
	}
	if c.Auth.HasValue() && c.Auth.Get().AuthenticatorID == (component.ID{}) {
		errs = append(errs, errors.New("`auth::authenticator` must name an extension such as bearertokenauth that `service::extensions` lists: name one, or remove `auth`"))
	}
	errs = append(errs, c.validateCredentials(), c.validateScheme())
	if c.header("Host") {
		errs = append(errs, errors.New("`headers` must not hold Host, which would not be sent: set `host_header`"))
	}
	if c.MaxRequests < 1 || c.MaxRequests > maxMaxRequests {
		errs = append(errs, fmt.Errorf("`max_requests` must be 1 to %d, found %d: it bounds the requests that are on their way at one time, 2 is the default", maxMaxRequests, c.MaxRequests))
	}
	return errors.Join(errs...)
}

// sayWho are the types of authenticators that set Authorization. Others, such as headers_setter, may
// go with what is set here.
var sayWho = []string{"basicauth", "bearertokenauth", "oauth2client"}

// validateCredentials refuses two ways to say who asks, of which one would not be sent.
func (c *Config) validateCredentials() error {
	if !c.Auth.HasValue() || !slices.Contains(sayWho, c.Auth.Get().AuthenticatorID.Type().String()) {
		return nil
	}
	var errs []error
	const remedy = "the authenticator's would be sent: remove one of them"
	if c.header("Authorization") {
		errs = append(errs, errors.New("`auth::authenticator` must not be set beside Authorization in `headers`: "+remedy))
	}
	if u, err := httpaddress.Parse(c.Endpoint); err == nil && u.User != nil {
		errs = append(errs, errors.New("`auth::authenticator` must not be set beside credentials in `endpoint`: "+remedy))
	}
	return errors.Join(errs...)
}

// validateScheme refuses settings of TLS that the scheme of the endpoint makes void.
func (c *Config) validateScheme() error {
	var errs []error
	switch u, err := httpaddress.Parse(c.Endpoint); {
	case err != nil: // told apart from this
	case u.Scheme == "http":
		for _, f := range []struct{ key, value string }{{"ca_file", c.TLS.CAFile}, {"cert_file", c.TLS.CertFile}, {"key_file", c.TLS.KeyFile}} {
			if f.value != "" {
				errs = append(errs, fmt.Errorf("`tls::%s` must not be set with an http:// `endpoint`, to which nothing is encrypted: write https://, or remove the key", f.key))
			}
		}
	case c.TLS.Insecure:
		errs = append(errs, errors.New("`tls::insecure` must not be true with an https:// `endpoint`, which is encrypted all the same: write http://, or set `tls::insecure_skip_verify` for a certificate that nobody vouches for"))
	}
	return errors.Join(errs...)
}

// header reports whether `headers` holds one of this name, in whatever case.
func (c *Config) header(name string) bool {
	for n := range c.Headers.Iter {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
