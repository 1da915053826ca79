package mlflowexporter

import (
	"strings"

	"go.opentelemetry.io/collector/exporter"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// droppingMessage is how exporterhelper says that a batch left the queue without being delivered
	// (queue_sender.go, v0.161). It says so of those that a stop interrupts, too, although it keeps them
	// (onDone in persistent_queue.go); their errors begin with interruptedPrefix (experr/err.go).
	droppingMessage   = "Exporting failed. Dropping data."
	interruptedPrefix = "interrupted due to shutdown: "

	interruptedMessage = "The stop interrupted a delivery; the batch stays in the queue until the next start"
)

// stopsQuietly gives the settings of an exporter that does not tell of losses that are none. A queue in memory is
// lost with the process.
func stopsQuietly(set exporter.Settings, onDisk bool) exporter.Settings {
	if onDisk {
		set.Logger = set.Logger.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return interruptedCore{c} }))
	}
	return set
}

// interruptedCore says of batches that a stop interrupted what becomes of them.
type interruptedCore struct{ zapcore.Core }

// With implements zapcore.Core.
func (c interruptedCore) With(fields []zapcore.Field) zapcore.Core {
	return interruptedCore{c.Core.With(fields)}
}

// Check implements zapcore.Core. The fields come with Write.
func (c interruptedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if strings.HasPrefix(entry.Message, droppingMessage) && c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return c.Core.Check(entry, checked)
}

// Write implements zapcore.Core.
func (c interruptedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		err, ok := f.Interface.(error)
		if !ok || !strings.HasPrefix(err.Error(), interruptedPrefix) {
			continue
		}
		entry.Level, entry.Message, entry.Stack = zapcore.InfoLevel, interruptedMessage, ""
		fields = []zapcore.Field{f}
		break
	}
	if checked := c.Core.Check(entry, nil); checked != nil {
		checked.Write(fields...)
	}
	return nil
}
