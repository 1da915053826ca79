package reconcile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/technoshare/commentator/internal/counted"
)

// sendTimeout bounds one request.
const sendTimeout = time.Minute

// Dial makes a Send to a Collector: host:port, or an address that begins with http:// or, for
// TLS, with https://. Headers go with each request. Nothing is sent before the first of them.
func Dial(address string, headers map[string]string) (_ Send, end func() error, err error) {
	transport := insecure.NewCredentials()
	target := address
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, nil, fmt.Errorf("%q is no address of a Collector; write host:port, http://host:port or https://host:port", address)
		}
		if target = u.Host; u.Scheme == "https" {
			transport = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
		}
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(transport))
	if err != nil {
		return nil, nil, fmt.Errorf("reach the Collector at %s: %w", address, err)
	}
	client := collectorpb.NewTraceServiceClient(conn)
	send := func(ctx context.Context, request *collectorpb.ExportTraceServiceRequest) error {
		ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(ctx, metadata.New(headers)), sendTimeout)
		defer cancel()
		answer, err := client.Export(ctx, request)
		if err != nil {
			return fmt.Errorf("the Collector at %s: %w", address, explain(err))
		}
		if p := answer.GetPartialSuccess(); p.GetRejectedSpans() > 0 {
			return fmt.Errorf("the Collector at %s rejected %s: %s", address, counted.Of(p.GetRejectedSpans(), "span"), p.GetErrorMessage())
		}
		return nil
	}
	return send, conn.Close, nil
}

// ErrUnreachable: no Collector takes repairs at the address.
var ErrUnreachable = errors.New("it takes no repairs; is otelcol-mlflow running, and does its receiver otlp/replay listen there? OTELCOL_REPLAY_ENDPOINT says where")

func explain(err error) error {
	switch status.Code(err) {
	case codes.Unavailable, codes.Unimplemented, codes.DeadlineExceeded:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}
