//go:build realserver

package apply_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// The contract also runs over a real server: MLFLOW_TEST_ENDPOINT is the address of a
// running one on this machine, or else MLFLOW_TEST_PYTHON names a Python that has mlflow
// installed, and one is started, on MLFLOW_TEST_STORE if that is set. It serves all tests;
// each has an experiment of its own.
func init() { servers["real"] = realServer }

var realURL = sync.OnceValues(startReal)

func realServer(t *testing.T) string {
	url, err := realURL()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// startReal starts MLflow, on SQLite unless a store is named; stopReal ends it.
func startReal() (string, error) {
	if endpoint := os.Getenv("MLFLOW_TEST_ENDPOINT"); endpoint != "" {
		return endpoint, nil
	}
	server, err := mlflowtest.StartReal(context.Background(), mlflowtest.RealConfig{
		Python: os.Getenv("MLFLOW_TEST_PYTHON"), Store: os.Getenv("MLFLOW_TEST_STORE"),
	})
	if err != nil {
		return "", fmt.Errorf("MLFLOW_TEST_PYTHON: %w", err)
	}
	stopReal = server.Stop
	log.Printf("MLflow %s on %s", server.Version, server.URL)
	return server.URL, nil
}
