package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
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
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			to = cmp.Or(to, os.Getenv("OTELCOL_REPLAY_ENDPOINT"), defaultReplayEndpoint)
			conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				return fmt.Errorf("replay to %s: %w", to, err)
			}
			defer func() { _ = conn.Close() }()
			return runReplay(cmd.Context(), cmd.OutOrStdout(), args[0], sender(ptraceotlp.NewGRPCClient(conn)))
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "OTLP/gRPC address of the receiver for repairs (default OTELCOL_REPLAY_ENDPOINT, or "+defaultReplayEndpoint+")")
	return cmd
}

// sender sends spans and takes a partial success for a refusal.
func sender(client ptraceotlp.GRPCClient) func(context.Context, ptrace.Traces) error {
	return func(ctx context.Context, td ptrace.Traces) error {
		ctx, cancel := context.WithTimeout(ctx, replayTimeout)
		defer cancel()
		answer, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
		if err != nil {
			return err
		}
		if p := answer.PartialSuccess(); p.RejectedSpans() > 0 {
			return fmt.Errorf("%d spans were rejected: %s", p.RejectedSpans(), p.ErrorMessage())
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
