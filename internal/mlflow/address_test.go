package mlflow_test

import (
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
)

// An address that cannot be used is told without its password, however it is misspelt.
func TestErrorsOfAddressesHoldNoCredentials(t *testing.T) {
	for _, address := range []string{
		"ftp://user:s3cr3t@host", "user:s3cr3t@host:5000", "http://user:/s3cr3t@host", "http://user:s3cr3t%zz@host",
		"http://user:a@s3cr3t b@host", "//user:s3cr3t@host", "http://user:s3cr3t@",
		"http://user:?s3cr3t@host", "http://user:#s3cr3t@host",
	} {
		_, err := mlflow.New(mlflow.Config{Endpoint: address})
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "is not an address: want http://") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
