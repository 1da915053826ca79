package reduce

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/wire"
)

// Dataset is the data that a run is about, as MLflow's column Dataset shows it.
type Dataset struct {
	Name   string
	Digest string // tells versions apart
	Source string // a URL or a path; may be empty
}

// Limits of MLflow, in characters (mlflow/utils/validation.py).
const (
	maxDatasetName   = 500
	maxDatasetDigest = 36
	// maxDatasetSource leaves room for the JSON around it, of 65,535.
	maxDatasetSource = 8000
)

// datasets is the dataset that a span names, if it does.
func datasets(s Span) []Dataset {
	d := Dataset{
		Name:   values.Clean(s.text(wire.AttrRunDatasetName), maxDatasetName),
		Digest: values.Clean(s.text(wire.AttrRunDatasetHash), maxDatasetDigest),
		Source: values.Clean(s.text(wire.AttrRunDatasetFrom), maxDatasetSource),
	}
	if blank(d.Name) {
		return nil
	}
	if blank(d.Digest) {
		sum := sha256.Sum256([]byte(d.Name + "\n" + d.Source))
		d.Digest = short(hex.EncodeToString(sum[:]))
	}
	return []Dataset{d}
}
