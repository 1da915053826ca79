package diskqueue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// Host is a host for exporterhelper whose storage extension recovers a queue before it
// hands its storage out, and lets it wait while the disk is full.
type Host struct {
	component.Host
	extensions map[component.ID]component.Component
	patience   patience
}

var _ componentstatus.Reporter = (*Host)(nil)

// NewHost wraps a host. Names are those of the storage clients that hold a queue:
// exporterhelper takes the signal's. Changed is called when Err becomes another.
func NewHost(host component.Host, storageID component.ID, log *zap.Logger, changed func(), names ...string) *Host {
	h := &Host{Host: host, extensions: maps.Clone(host.GetExtensions()), patience: patience{ending: make(chan struct{}), changed: changed}}
	if ext, ok := h.extensions[storageID].(storage.Extension); ok {
		h.extensions[storageID] = &recovering{Extension: ext, names: names, patience: &h.patience, log: log}
	}
	return h
}

// Err is ErrDisk while a queue waits for its disk: what is put into it then would wait too.
func (h *Host) Err() error {
	if h.patience.waiting.Load() > 0 {
		return ErrDisk
	}
	return nil
}

// End is to be called before the queues are shut down: they wait no longer.
func (h *Host) End() { h.patience.once.Do(func() { close(h.patience.ending) }) }

// GetExtensions implements component.Host.
func (h *Host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// Report implements componentstatus.Reporter.
func (h *Host) Report(event *componentstatus.Event) { componentstatus.ReportStatus(h.Host, event) }

// recovering is a storage extension.
type recovering struct {
	storage.Extension
	names    []string
	patience *patience
	log      *zap.Logger
}

// GetClient implements storage.Extension.
func (r *recovering) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	client, err := r.Extension.GetClient(ctx, kind, id, name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(r.names, name) {
		return client, nil
	}
	moved, err := Recover(ctx, client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("recover sending queue of %s: %w", name, err), client.Close(ctx))
	}
	if moved > 0 {
		r.log.Info("Batches that were being delivered when the Collector ended are queued again", zap.Int("batches", moved))
	}
	return &patient{Client: client, patience: r.patience, log: r.log}, nil
}
