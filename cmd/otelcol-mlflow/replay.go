package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
	"github.com/technoshare/commentator/internal/counted"
)

const (
	// defaultReplayEndpoint is where default.yaml has the receiver of repairs.
	defaultReplayEndpoint = "127.0.0.1:4319"
	// replayTimeout bounds the sending of one letter.
	replayTimeout = time.Minute
)

func newReplayCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "replay DIR",
		Short: "Send dead letters again",
		Long: `replay sends what lies in a dead-letter directory to a running otelcol-mlflow again, to
its receiver for repairs, which leads to MLflow only. A file is removed when the Collector
has it in its queue. What MLflow refuses again becomes a dead letter again.`,
		Args: one("replay needs the folder of the dead letters"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			to = cmp.Or(to, os.Getenv("OTELCOL_REPLAY_ENDPOINT"), defaultReplayEndpoint)
			if err := checkAddress(to); err != nil {
				return err
			}
			conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				return fmt.Errorf("replay to %s: %w", to, err)
			}
			defer func() { _ = conn.Close() }()
			return runReplay(cmd.Context(), cmd.OutOrStdout(), args[0], sender(ptraceotlp.NewGRPCClient(conn), to))
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "OTLP/gRPC address of the receiver for repairs (default OTELCOL_REPLAY_ENDPOINT, or "+defaultReplayEndpoint+")")
	return cmd
}

// checkAddress refuses what is no HOST:PORT before any letter is looked at. Without a host it is this one.
func checkAddress(to string) error {
	_, port, err := net.SplitHostPort(to)
	n, noNumber := strconv.ParseUint(port, 10, 16)
	if err != nil || noNumber != nil || n == 0 || strings.Contains(to, "/") {
		return fmt.Errorf("--to, or OTELCOL_REPLAY_ENDPOINT, must be HOST:PORT such as %s, found %q", defaultReplayEndpoint, to)
	}
	return nil
}

// explained says what to do about the errors of a connection, of which gRPC tells the inside.
func explained(err error, to string) error {
	s, ok := status.FromError(err)
	switch {
	case !ok:
		return err
	case s.Code() == codes.Unimplemented || containsAny(s.Message(), "server preface", "HTTP/1.1", "unexpected HTTP status code", "unexpected content-type"):
		return fmt.Errorf("%s does not speak OTLP/gRPC: give the address of the receiver for repairs by --to or OTELCOL_REPLAY_ENDPOINT: %w", to, err)
	case s.Code() == codes.Unavailable && containsAny(s.Message(), "connection error", "name resolver error"):
		return fmt.Errorf("%s cannot be reached: is the Collector running? (--to / OTELCOL_REPLAY_ENDPOINT): %w", to, err)
	}
	return err
}

// sender sends spans to an address and takes a partial success for a refusal.
func sender(client ptraceotlp.GRPCClient, to string) func(context.Context, ptrace.Traces) error {
	return func(ctx context.Context, td ptrace.Traces) error {
		ctx, cancel := context.WithTimeout(ctx, replayTimeout)
		defer cancel()
		answer, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
		if err != nil {
			return explained(err, to)
		}
		if p := answer.PartialSuccess(); p.RejectedSpans() > 0 {
			return fmt.Errorf("%s rejected: %s", counted.Form(p.RejectedSpans(), "span was", "spans were"), p.ErrorMessage())
		}
		return nil
	}
}

// nothingIn says that a folder has no dead letters, which is a mistake where they lie in one below it.
func nothingIn(out io.Writer, dir string) error {
	inside := filepath.Join(dir, "dead-letter")
	n, err := deadletter.Count(inside)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("there are no dead letters in %s, but %d in %s: replay that folder", dir, n, inside)
	}
	_, _ = fmt.Fprintf(out, "there are no dead letters in %s: nothing to send\n", dir)
	return nil
}

func runReplay(ctx context.Context, out io.Writer, dir string, send func(context.Context, ptrace.Traces) error) error {
	sent, kept := 0, 0
	err := deadletter.Replay(ctx, dir, send, func(r deadletter.Result) {
		if r.Err != nil {
			kept++
			_, _ = fmt.Fprintf(out, "kept  %s  %v\n", r.File, r.Err)
			return
		}
		sent++
		_, _ = fmt.Fprintf(out, "sent  %s  trace %s, %d refused\n", r.File, r.Letter.TraceID, len(r.Letter.Refused))
	})
	if err != nil {
		return err
	}
	if sent+kept == 0 {
		return nothingIn(out, dir)
	}
	_, _ = fmt.Fprintf(out, "%d sent, %d kept\n", sent, kept)
	if kept > 0 {
		return fmt.Errorf("%d dead letters were not taken and stay in %s", kept, dir)
	}
	return nil
}
