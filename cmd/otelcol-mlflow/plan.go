package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter"

	"github.com/technoshare/commentator/internal/boundedfile"
)

func newPlanCommand() *cobra.Command {
	var configs []string
	var name string
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Show what would be written to MLflow for some spans, and why",
		Long: `plan reads spans from a file (- is the standard input) and prints the runs, params,
metrics, artifacts and traces that they become, the rule behind each, and the requests that
would be made to a server that has the experiments, no prompts in its registry, and nothing of
these jobs. It uses no network. The file holds OTLP: JSON, one message after the other or
in a list, as the Collector's file exporter writes it, a dead letter, or one message in
protobuf; each may be packed with gzip.`,
		Args: one("plan needs a FILE (- is the standard input)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			cfg, err := exporterConfig(cmd.Context(), configs, name)
			if err != nil {
				return err
			}
			messages, err := readMessages(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			preview, err := mlflowexporter.NewPreview(cmd.Context(), cfg, messages)
			if err != nil {
				return err
			}
			_, err = preview.WriteTo(cmd.OutOrStdout())
			return err
		},
	}
	cmd.Flags().StringArrayVar(&configs, "config", nil, "configuration, as for the Collector itself; may be repeated (default the embedded one)")
	cmd.Flags().StringVar(&name, "exporter", "", "exporter of the configuration, such as mlflow/team-a, when it has several")
	return cmd
}

// exporterConfig is the configuration of an mlflow exporter, checked as at the start of the
// Collector.
func exporterConfig(ctx context.Context, configs []string, name string) (*mlflowexporter.Config, error) {
	set := settings().ConfigProviderSettings
	if len(configs) > 0 {
		set.ResolverSettings.URIs = configs
	}
	provider, err := otelcol.NewConfigProvider(set)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	factories, err := components()
	if err != nil {
		return nil, err
	}
	all, err := provider.Get(ctx, factories)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	found := map[string]*mlflowexporter.Config{}
	for id, cfg := range all.Exporters {
		if c, ok := cfg.(*mlflowexporter.Config); ok {
			found[id.String()] = c
		}
	}
	names := make([]string, 0, len(found))
	for id := range found {
		names = append(names, id)
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return nil, errors.New("the configuration has no mlflow exporter: give another with --config")
	case name == "" && len(names) > 1:
		return nil, fmt.Errorf("the configuration has several mlflow exporters: choose one of %s with --exporter", strings.Join(names, ", "))
	}
	cfg := found[cmp.Or(name, names[0])]
	if cfg == nil {
		return nil, fmt.Errorf("the configuration has no exporter %s: --exporter must be one of %s", name, strings.Join(names, ", "))
	}
	if err := confmap.Validate(cfg); err != nil {
		return nil, fmt.Errorf("exporters::%s: %w", cmp.Or(name, names[0]), err)
	}
	return cfg, nil
}

// maxSpans bounds a file, in bytes: it is in memory with what is decoded of it.
const maxSpans = 1 << 30

// readMessages reads the messages of a file.
func readMessages(path string, stdin io.Reader) ([]ptrace.Traces, error) {
	var body []byte
	var err error
	if path == "-" {
		body, err = boundedfile.ReadAll(stdin, maxSpans)
	} else {
		body, err = boundedfile.Read(path, maxSpans)
	}
	if err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	messages, err := decodeMessages(body)
	if err != nil {
		return nil, fmt.Errorf("read spans of %s: %w", path, err)
	}
	messages = slices.DeleteFunc(messages, func(td ptrace.Traces) bool { return td.SpanCount() == 0 })
	if len(messages) == 0 {
		return nil, fmt.Errorf("read spans of %s: it holds none; wanted is OTLP with resourceSpans, as JSON or protobuf", path)
	}
	return messages, nil
}

// maxUnpacked bounds what a packed file takes in memory: a small one may stand for very much.
const maxUnpacked = 256 << 20

// unpack gives what a file holds that was packed with gzip, and any other as it is.
func unpack(body []byte, limit int64) ([]byte, error) {
	if bytes.HasPrefix(body, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return nil, errors.New("it is packed with zstd: unpack it first, with zstd -d")
	}
	if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		return body, nil
	}
	packed, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	unpacked, err := io.ReadAll(io.LimitReader(packed, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unpack gzip: %w", err)
	case int64(len(unpacked)) > limit:
		return nil, fmt.Errorf("unpack gzip: it holds more than %d MiB: unpack it and give a part of it", limit>>20)
	}
	return unpacked, nil
}

func decodeMessages(body []byte) ([]ptrace.Traces, error) {
	body, err := unpack(body, maxUnpacked)
	if err != nil {
		return nil, err
	}
	start := bytes.TrimLeft(body, " \t\r\n\ufeff")
	if len(start) == 0 || (start[0] != '{' && start[0] != '[') {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
		if err != nil {
			return nil, fmt.Errorf("neither JSON nor OTLP in protobuf: %w", err)
		}
		return []ptrace.Traces{td}, nil
	}
	var messages []ptrace.Traces
	for values := json.NewDecoder(bytes.NewReader(start)); ; {
		var value json.RawMessage
		switch err := values.Decode(&value); {
		case errors.Is(err, io.EOF):
			return messages, nil
		case err != nil:
			return nil, fmt.Errorf("parse JSON: %w", err)
		}
		list := []json.RawMessage{value}
		if value[0] == '[' {
			if err := json.Unmarshal(value, &list); err != nil {
				return nil, fmt.Errorf("parse JSON: %w", err)
			}
		}
		for _, one := range list {
			var letter struct {
				OTLP json.RawMessage `json:"otlp"`
			}
			if err := json.Unmarshal(one, &letter); err != nil {
				return nil, fmt.Errorf("parse JSON: %w", err)
			}
			if letter.OTLP != nil {
				one = letter.OTLP
			}
			td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(one)
			if err != nil {
				return nil, fmt.Errorf("message %d: %w%s", len(messages)+1, err, aboutIDs(err))
			}
			messages = append(messages, td)
		}
	}
}

// aboutIDs says how ids are written, when one of them is what could not be read.
func aboutIDs(err error) string {
	if !strings.Contains(err.Error(), "ID.UnmarshalJSON") {
		return ""
	}
	return "; a traceId is 32 hex digits, a spanId or parentSpanId 16"
}
