//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/test/sandbox"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/technoshare/commentator/collector/mlflowexporter"
)

// runCollector is the child process: the distribution with one extension more.
func runCollector(configs []string) error {
	uris := make([]string, len(configs))
	for i, c := range configs {
		uris[i] = "file:" + c
	}
	cmd := otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol-mlflow", Version: "bench"},
		Factories: func() (otelcol.Factories, error) {
			f := otelcol.Factories{Telemetry: otelconftelemetry.NewFactory()}
			var err error
			if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory()); err != nil {
				return f, err
			}
			if f.Processors, err = otelcol.MakeFactoryMap[processor.Factory](memorylimiterprocessor.NewFactory()); err != nil {
				return f, err
			}
			if f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](
				mlflowexporter.NewFactory(), otlphttpexporter.NewFactory(), prometheusexporter.NewFactory()); err != nil {
				return f, err
			}
			f.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](
				filestorage.NewFactory(), healthcheckextension.NewFactory(), newWatchFactory())
			return f, err
		},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:              uris,
			ProviderFactories: []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory()},
			DefaultScheme:     "env",
		}},
	})
	// Not the arguments of this process. The distribution switches on that gate by itself.
	cmd.SetArgs([]string{"--feature-gates=extension.healthcheck.useComponentStatus"})
	return cmd.Execute()
}

// collector is that child, seen from outside.
type collector struct {
	*process
	client  ptraceotlp.GRPCClient
	conn    *grpc.ClientConn
	metrics string // address of its own metrics
	lines   chan seen
	last    seen
}

// startCollector starts a Collector with the distribution's own configuration, and what
// overlay changes in it, in a folder of that name.
func startCollector(top, dir, name, mlflow, overlay string) (*collector, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	changes := filepath.Join(dir, "overlay.yaml")
	if err := os.WriteFile(changes, []byte(overlay), 0o600); err != nil {
		return nil, err
	}
	ports, err := sandbox.FreePorts(7)
	if err != nil {
		return nil, err
	}
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	c := &collector{metrics: "http://" + address(3) + "/metrics", lines: make(chan seen, 1<<16)}
	env := []string{
		"MLFLOW_TRACKING_URI=" + mlflow, "MLFLOW_EXPERIMENT_NAME=" + name, "OTELCOL_DATA_DIR=" + filepath.Join(dir, "data"),
		"OTELCOL_GRPC_ENDPOINT=" + address(0), "OTELCOL_HTTP_ENDPOINT=" + address(1), "OTELCOL_HEALTH_ENDPOINT=" + address(2),
		fmt.Sprintf("OTELCOL_METRICS_PORT=%d", ports[3]), "OTELCOL_PROMETHEUS_ENDPOINT=" + address(4), "OTELCOL_REPLAY_ENDPOINT=" + address(5),
		"OTELCOL_STATUS_ENDPOINT=" + address(6),
	}
	var out *bufio.Scanner
	c.process, err = launch(dir, "collector", env, func(cmd *exec.Cmd) error {
		pipe, err := cmd.StdoutPipe()
		out = bufio.NewScanner(pipe)
		return err
	}, self, "collector", filepath.Join(top, "cmd", "otelcol-mlflow", "default.yaml"), changes)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(c.lines)
		out.Buffer(nil, 16<<20)
		for out.Scan() {
			var s seen
			if json.Unmarshal(out.Bytes(), &s) == nil {
				c.lines <- s
			}
		}
	}()
	if err := c.answers("http://" + address(2)); err != nil {
		c.stop()
		return nil, err
	}
	if c.conn, err = grpc.NewClient(address(0), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		c.stop()
		return nil, err
	}
	c.client = ptraceotlp.NewGRPCClient(c.conn)
	return c, nil
}

func (c *collector) close() {
	_ = c.conn.Close()
	c.stop()
}

func (c *collector) send(td ptrace.Traces) error {
	if _, err := c.client.Export(context.Background(), ptraceotlp.NewExportRequestFromTraces(td)); err != nil {
		return fmt.Errorf("send spans: %w\n%s", err, c.tail())
	}
	return nil
}

// until waits until so many runs were ended since the Collector started, and gives the
// requests that were recorded on the way.
func (c *collector) until(ended int) (all []recorded, err error) {
	for c.last.Ended < ended {
		s, ok := <-c.lines
		if !ok {
			return nil, fmt.Errorf("wait for runs to be ended: the Collector ended\n%s", c.tail())
		}
		if s.Recorded != nil {
			all = append(all, *s.Recorded)
		}
		if s.Took == nil {
			s.Took, s.Count = c.last.Took, c.last.Count
		}
		c.last = s
	}
	return all, nil
}

// overlayWith is the part of the configuration that lets watch see the requests, with more
// keys of the exporter.
func overlayWith(record bool, exporter ...string) string {
	return fmt.Sprintf(`extensions:
  watch: {record: %v}
exporters:
  mlflow:
    auth: {authenticator: watch}
    %s
service:
  extensions: [file_storage, health_check, watch]
`, record, strings.Join(exporter, "\n    "))
}
