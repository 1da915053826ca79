package mlflowexporter

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
)

// validateFiles checks the files that the configuration names, so that one that is missing is
// found by `validate` and not only where the Collector starts.
func (c *Config) validateFiles() error {
	_, prices := readPrices(c.PricesFile)
	return errors.Join(prices, c.validateTLSFiles(), checkDeadLetterPath(c.DeadLetterDirectory))
}

func (c *Config) validateTLSFiles() error {
	var errs []error
	for _, f := range []struct{ key, path string }{{"ca_file", c.TLS.CAFile}, {"cert_file", c.TLS.CertFile}, {"key_file", c.TLS.KeyFile}} {
		if f.path == "" {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err == nil && f.key == "ca_file" && !x509.NewCertPool().AppendCertsFromPEM(text) {
			err = fmt.Errorf("%s holds no certificate", f.path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("`tls::%s`: %w: name a PEM file that the Collector may read, or remove the key", f.key, err))
		}
	}
	if len(errs) > 0 || c.TLS.Validate() != nil { // which is told of apart from this
		return errors.Join(errs...)
	}
	if _, err := c.TLS.LoadTLSConfig(context.Background()); err != nil {
		return fmt.Errorf("`tls`: %w: name files in PEM form whose certificate and key belong together", err)
	}
	return nil
}

const deadLetterRemedy = "name a directory that the Collector may write to, or remove the key"

// checkDeadLetterPath refuses what is no directory, and one that is not there, to be made at the start,
// where none can be made by anybody. Who validates may be another user than the Collector.
func checkDeadLetterPath(dir string) error {
	if dir == "" {
		return nil
	}
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		if err := tryDirectory(filepath.Dir(filepath.Clean(dir))); err != nil {
			return fmt.Errorf("`dead_letter_directory`: %w: %s", err, deadLetterRemedy)
		}
		return nil
	case err != nil:
		return fmt.Errorf("`dead_letter_directory`: %w: %s", err, deadLetterRemedy)
	case !info.IsDir():
		return fmt.Errorf("`dead_letter_directory`: %s is a file: %s", dir, deadLetterRemedy)
	}
	return nil
}

// tryDirectory makes a directory and removes it, below what there is of a path.
func tryDirectory(in string) error {
	for {
		_, err := os.Stat(in)
		above := filepath.Dir(in)
		if !errors.Is(err, fs.ErrNotExist) || above == in {
			break
		}
		in = above
	}
	made, err := os.MkdirTemp(in, ".validate-")
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil
	case err != nil:
		return err
	}
	return os.Remove(made)
}

func openDeadLetters(dir string) error {
	if dir == "" {
		return nil
	}
	if err := deadletter.Prepare(dir); err != nil {
		return fmt.Errorf("`dead_letter_directory`: %w: %s", err, deadLetterRemedy)
	}
	return nil
}
