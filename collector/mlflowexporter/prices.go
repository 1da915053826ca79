package mlflowexporter

import (
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/pricing"
)

// reasonUnknownModel counts runs whose tokens have no price.
const reasonUnknownModel = "unknown_model"

// readPrices is the built-in table, with the file of the configuration laid over it.
func readPrices(path string) (*pricing.Table, error) {
	if path == "" {
		return pricing.Default(), nil
	}
	file, err := boundedfile.Read(path, boundedfile.MaxSettings)
	if err != nil {
		return nil, fmt.Errorf("`prices_file`: %w: name a YAML file that the Collector may read, or remove the key", err)
	}
	table, err := pricing.Default().With(path, file)
	if err != nil {
		return nil, fmt.Errorf("`prices_file`: %w: mend it as the exporter's README shows, or remove the key", err)
	}
	return table, nil
}

// unpriced remembers of which models it was said that they have no price.
type unpriced struct {
	mu   sync.Mutex
	said map[string]bool
}

// maxUnpriced bounds what is remembered, should model names be made up one by one.
const maxUnpriced = 1000

func (u *unpriced) first(model string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.said[model] || len(u.said) >= maxUnpriced {
		return false
	}
	if u.said == nil {
		u.said = map[string]bool{}
	}
	u.said[model] = true
	return true
}

func (e *mlflowExporter) countUnpriced(model string) {
	e.telemetry.dropped(reasonUnknownModel, 1)
	if e.unpriced.first(model) {
		e.log.Warn("This model has no price, so its runs have no cost; give it one in `prices_file`", zap.String("model", model))
	}
}
