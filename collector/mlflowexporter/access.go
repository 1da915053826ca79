package mlflowexporter

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/component"
	"golang.org/x/net/http/httpguts"

	"github.com/technoshare/commentator/internal/mlflow"
)

// maxMaxRequests is where more requests at one time are a mistake: a server of MLflow has a
// few workers.
const maxMaxRequests = 32

// validateAccess checks what says how to reach the server.
func (c *Config) validateAccess() error {
	var errs []error
	if c.Endpoint == "" {
		errs = append(errs, errors.New("`endpoint` must be set to the address of the MLflow server, for instance http://127.0.0.1:5000"))
	} else if _, err := mlflow.ParseAddress(c.Endpoint); err != nil {
		errs = append(errs, fmt.Errorf("`endpoint`: %w", err))
	}
	if c.UIURL != "" {
		if u, err := mlflow.ParseAddress(c.UIURL); err != nil {
			errs = append(errs, fmt.Errorf("`ui_url`: %w", err))
		} else if u.User != nil {
			errs = append(errs, errors.New("`ui_url` must hold no credentials, since it is written into the notes of runs: remove what is before the @"))
		}
	}
	if h := c.HostHeader; h != "" {
		if u, err := url.Parse("http://" + h); err != nil || u.Host != h {
			errs = append(errs, errors.New("`host_header` must be a host, or host:port, such as mlflow.example.org: remove http:// and path"))
		}
	}
	for name, value := range c.Headers.Iter {
		switch { // the value may be a secret, and is not repeated
		case !httpguts.ValidHeaderFieldName(name):
			errs = append(errs, fmt.Errorf("`headers`: %q is no name of a header: use letters, digits and hyphens, such as X-Team", name))
		case !httpguts.ValidHeaderFieldValue(string(value)):
			errs = append(errs, fmt.Errorf("`headers`: the value of %s has a line break or another control character: remove it", name))
		}
	}
	if c.Auth.HasValue() && c.Auth.Get().AuthenticatorID == (component.ID{}) {
		errs = append(errs, errors.New("`auth::authenticator` must name an extension such as bearertokenauth that `service::extensions` lists: name one, or remove `auth`"))
	}
	if c.header("Host") {
		errs = append(errs, errors.New("`headers` must not hold Host, which would not be sent: set `host_header`"))
	}
	if c.MaxRequests < 1 || c.MaxRequests > maxMaxRequests {
		errs = append(errs, fmt.Errorf("`max_requests` must be 1 to %d, found %d: it bounds the requests that are on their way at one time, 2 is the default", maxMaxRequests, c.MaxRequests))
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
