//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter"
)

var storageID = component.MustNewID("file_storage")

// bridge is the exporter with its default configuration, but that it delivers in the
// caller's goroutine.
type bridge struct {
	exporter.Traces
	storage extension.Extension
	logs    *observer.ObservedLogs
	stop    func() error
}

type host map[component.ID]component.Component

// GetExtensions implements component.Host.
func (h host) GetExtensions() map[component.ID]component.Component { return h }

// startBridge starts an exporter whose ledger is in a folder.
func (v *visit) startBridge(ctx context.Context, folder string) (*bridge, error) {
	folder = filepath.Join(v.folder, folder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	core, logs := observer.New(zapcore.WarnLevel)
	b := &bridge{logs: logs}
	settings := componenttest.NewNopTelemetrySettings()

	storage := filestorage.NewFactory()
	disk := storage.CreateDefaultConfig().(*filestorage.Config)
	disk.Directory = folder
	var err error
	if b.storage, err = storage.Create(ctx, extension.Settings{ID: storageID, TelemetrySettings: settings}, disk); err != nil {
		return nil, fmt.Errorf("create storage: %w", err)
	}
	settings.Logger = zap.New(core)
	factory := mlflowexporter.NewFactory()
	cfg := factory.CreateDefaultConfig().(*mlflowexporter.Config)
	cfg.Endpoint, cfg.Experiment, cfg.Storage = v.proxy.URL, experiment, &storageID
	cfg.Queue, cfg.AllowDataLoss = configoptional.None[exporterhelper.QueueBatchConfig](), true
	set := exporter.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: settings, BuildInfo: component.NewDefaultBuildInfo()}
	if b.Traces, err = factory.CreateTraces(ctx, set, cfg); err != nil {
		return nil, fmt.Errorf("create exporter: %w", err)
	}
	h := host{storageID: b.storage}
	if err := errors.Join(b.storage.Start(ctx, h), b.Start(ctx, h)); err != nil {
		return nil, fmt.Errorf("start exporter: %w", err)
	}
	b.stop = sync.OnceValue(func() error {
		return errors.Join(b.Shutdown(context.WithoutCancel(ctx)), b.storage.Shutdown(context.WithoutCancel(ctx)))
	})
	return b, nil
}

// send delivers messages in order.
func (b *bridge) send(ctx context.Context, messages []ptrace.Traces) error {
	for _, td := range messages {
		if err := b.ConsumeTraces(ctx, td); err != nil {
			return fmt.Errorf("deliver: %w", err)
		}
	}
	return nil
}

// complaints are the warnings and errors of its log.
func (b *bridge) complaints() (lines []string) {
	for _, entry := range b.logs.All() {
		lines = append(lines, entry.Message)
	}
	return lines
}
