package apply

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/internal/mlflow"
)

// probeAgain is how long a server counts as one without traces before its version is asked
// for again: it may have been upgraded while nothing was sent.
const probeAgain = time.Minute

// features is what the server can do, by its version. The version is asked for before the
// first request, whenever the server was away, and once a minute while traces are off.
type features struct {
	mu        sync.Mutex
	probed    time.Time // zero: never
	version   string    // empty: the server does not tell
	tracesOff bool
	tookSpans bool // in this version
	// refused is set when this version has refused all spans, for which there may be another reason
	// than its age: that is believed for as long as the next question for the version takes.
	refused bool
}

// probe asks for the server's version when that is due.
func (a *Applier) probe(ctx context.Context) error {
	a.features.mu.Lock()
	due := a.features.probed.IsZero() || (a.features.tracesOff && a.cfg.Now().Sub(a.features.probed) >= probeAgain)
	a.features.mu.Unlock()
	if !due {
		return nil
	}
	version, err := a.askVersion(ctx)
	if err != nil && !permanent(err) {
		return fmt.Errorf("ask for version: %w", err)
	}
	a.isVersion(version)
	return nil
}

// isVersion notes what the server says of its version. A new one is believed to take
// traces unless it is known not to.
func (a *Applier) isVersion(version string) {
	if version = strings.TrimSpace(version); strings.HasPrefix(version, "<") {
		version = "" // the page of a proxy
	}
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	first := a.features.probed.IsZero()
	a.features.probed = a.cfg.Now()
	if !first && version == a.features.version {
		a.features.tracesOff = a.features.tracesOff && !a.features.refused
		return
	}
	if !first {
		a.log.Info("MLflow has another version", zap.String("before", a.features.version), zap.String("now", version))
	}
	off := a.features.tracesOff || a.features.refused
	a.features.version, a.features.tracesOff, a.features.tookSpans, a.features.refused = version, false, false, false
	// 3.6 has /v1/traces, but no traces/get: there is no check that what it holds is right.
	if olderThan(version, 3, 7) {
		a.traceless("version "+version, off)
	} else if off {
		a.log.Info("MLflow takes OpenTelemetry traces now")
	}
}

// noTraces notes that the server refuses all traces.
func (a *Applier) noTraces(why error) {
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	a.traceless(why.Error(), a.features.tracesOff || a.features.refused)
	a.features.tookSpans, a.features.refused = false, true
}

// traceless switches traces off, which is said once. The lock of features is held.
func (a *Applier) traceless(why string, said bool) {
	a.features.tracesOff = true
	if !said {
		a.log.Warn("MLflow takes no OpenTelemetry traces, which needs version 3.7 and a SQL database: only runs are written", zap.String("reason", why))
	}
}

func (a *Applier) takesTraces() bool {
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	return !a.features.tracesOff
}

// tookSpans notes that the server takes spans.
func (a *Applier) tookSpans() {
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	if a.features.refused {
		a.log.Info("MLflow takes OpenTelemetry traces now")
	}
	a.features.tookSpans, a.features.refused = true, false
}

// passing reports whether the answer that there is no route for spans says nothing of the server: it took
// some before, or it is a proxy's. MLflow says so with a page.
func (a *Applier) passing(e *mlflow.Error) bool {
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	return e.NoRoute() && (a.features.tookSpans || (!e.HTML && !a.features.refused))
}

// toldFirst reports whether the server keeps what it is told of a trace when the spans come
// after that, which spares it a merge of both. A server of which nothing but its version is known
// may keep no spans at all.
func (a *Applier) toldFirst() bool {
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	return a.features.tookSpans && a.features.version != "" && !olderThan(a.features.version, 3, 15)
}

// keepsTotals reports whether the server leaves the totals of a trace as they are, once it was told of
// the trace.
func (a *Applier) keepsTotals() bool {
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	return a.features.version != "" && !olderThan(a.features.version, 3, 15)
}

// replacesPreviews reports whether the server removes the previews that it made of the root when
// it is told of the trace without any. MLflow 3.7 does, 3.17 does not.
func (a *Applier) replacesPreviews() bool { return a.isBefore(3, 15) }

// maxTag is how many characters the tag of a run may have. More of them are refused by the
// databases that look at lengths, with the whole request.
func (a *Applier) maxTag() int {
	if a.isBefore(2, 17) {
		return mlflow.MaxTagValueBefore217
	}
	return mlflow.MaxTagValue
}

// isBefore reports whether the server is known to be older than a version.
func (a *Applier) isBefore(major, minor int) bool {
	a.features.mu.Lock()
	defer a.features.mu.Unlock()
	return olderThan(a.features.version, major, minor)
}

// olderThan compares "3.17.2" with a version; a text that is no version is not older.
func olderThan(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	x, err1 := strconv.Atoi(parts[0])
	y, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (x < major || (x == major && y < minor))
}
