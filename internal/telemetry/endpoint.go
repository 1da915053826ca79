package telemetry

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// DefaultEndpoint is where a Collector on the same machine listens.
const DefaultEndpoint = "http://127.0.0.1:4317"

const defaultPort = "4317"

// dial prepares a connection; the first use of it connects. The transport's own back-off
// is kept short, because the relay has its own and a Collector that comes back should be
// met soon.
func dial(endpoint string) (*grpc.ClientConn, error) {
	target, plain, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if !plain {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(creds),
		grpc.WithUserAgent("technoshare-commentator"),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to Collector %s: %w", endpoint, err)
	}
	return conn, nil
}

// parseEndpoint splits an OTLP/gRPC endpoint into host:port and whether it is plain text.
// A scheme decides that; without one it is not.
func parseEndpoint(endpoint string) (string, bool, error) {
	plain := false
	host := endpoint
	if strings.Contains(endpoint, "://") {
		u, err := url.Parse(endpoint)
		if err != nil {
			return "", false, fmt.Errorf("read endpoint of the Collector: %w", err)
		}
		switch u.Scheme {
		case "http":
			plain = true
		case "https":
			plain = false
		default:
			return "", false, fmt.Errorf("read endpoint of the Collector %q: the scheme is neither http nor https", endpoint)
		}
		host = u.Host
	}
	if host == "" {
		return "", false, fmt.Errorf("read endpoint of the Collector %q: it names no host", endpoint)
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), defaultPort)
	}
	return host, plain, nil
}

// withHeaders adds the configured headers to a call.
func withHeaders(ctx context.Context, headers map[string]string) context.Context {
	for k, v := range headers {
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(k), v)
	}
	return ctx
}
