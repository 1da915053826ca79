//go:build realserver

package mlflowexporter

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

const password = "cor/rect horse#1"

// With a wrong password nothing is lost: the job waits in the queue on disk, the log says so
// once, and the right password delivers it, after a restart of the Collector that a change
// of its configuration takes. No password is told.
func TestRealBasicAuth(t *testing.T) {
	login, err := mlflowtest.BasicAuth(t.TempDir(), password, "NO_PERMISSIONS")
	if err != nil {
		t.Fatal(err)
	}
	s := startSite(t, login)
	as := func(password string) *Config {
		cfg := s.config(t)
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("admin", password)
		cfg.Endpoint = u.String()
		return cfg
	}
	const wrong = "wr/ong horse#2"
	s.refused(t, as(wrong), "model", "401", wrong)
	s.delivered(t, as(password), "", "model", password)
}

// gated is MLflow below a path that takes one Host, and a proxy with TLS of its own CA in
// front of it that takes one bearer token.
func gated(t *testing.T) (s *site, proxy *httptest.Server, ca string) {
	t.Helper()
	s = startSite(t, mlflowtest.RealConfig{
		Args:  []string{"--static-prefix", "/ml", "--allowed-hosts", "mlflow.example.org"},
		Reach: mlflow.Config{Endpoint: "/ml", HostHeader: "mlflow.example.org"},
	})
	target, err := url.Parse(strings.TrimSuffix(s.URL, "/ml"))
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	proxy = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cr3t" || r.Header.Get("X-Team") != "search" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	proxy.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	proxy.StartTLS()
	t.Cleanup(func() {
		proxy.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // which the proxy uses
	})
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, proxy, ca
}

// MLflow below a path, and one that takes certain hosts only: `endpoint` has the path, and
// `host_header` the name. Without it the job waits in the queue. Through TLS with a CA of
// one's own, a bearer token and another header the same server is written to likewise.
func TestRealPathHostTLSAndBearer(t *testing.T) {
	s, proxy, ca := gated(t)

	through := func(t *testing.T, s *site, token string) *Config {
		cfg := s.config(t)
		cfg.Endpoint = proxy.URL + "/ml"
		cfg.TLS.CAFile = ca
		cfg.HostHeader = "mlflow.example.org"
		cfg.Headers.Set("X-Team", "search")
		if token != "" {
			cfg.Headers.Set("Authorization", configopaque.String("Bearer "+token))
		}
		return cfg
	}
	t.Run("host", func(t *testing.T) {
		s := s.emptied(t)
		s.refused(t, s.config(t), "model", "Invalid Host header")
		cfg := s.config(t)
		cfg.HostHeader = "mlflow.example.org"
		s.delivered(t, cfg, "", "model", "")
	})
	t.Run("token in headers", func(t *testing.T) {
		s := s.emptied(t)
		s.refused(t, through(t, s, "wr0ng"), "success", "401", "wr0ng")
		s.delivered(t, through(t, s, "s3cr3t"), "", "success", "s3cr3t")
	})
	t.Run("token by an extension", func(t *testing.T) {
		s := s.emptied(t)
		cfg := through(t, s, "")
		cfg.Auth = configoptional.Some(configauth.Config{AuthenticatorID: bearerToken})
		s.delivered(t, cfg, "gate_failed", "gate_failed", "s3cr3t", bearer(t, "s3cr3t"))
	})
	t.Run("unknown CA", func(t *testing.T) {
		s := s.emptied(t)
		cfg := through(t, s, "s3cr3t")
		cfg.TLS.CAFile = ""
		s.run(t, cfg, "retried", func() { s.says(t, "Will retry the request", 10) })
		if text := fmt.Sprint(s.logs.TakeAll()); !strings.Contains(text, "certificate signed by unknown authority") {
			t.Errorf("the log does not tell the cause: %s", text)
		}
		s.delivered(t, through(t, s, "s3cr3t"), "", "retried", "s3cr3t")
	})
}
