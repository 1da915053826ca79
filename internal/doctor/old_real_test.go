//go:build realserver

package doctor

import (
	"os"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// An MLflow from before traces by OpenTelemetry. `make compat` has one; other runs install none
// for this.
func TestRealOldMLflowIsNamed(t *testing.T) {
	python := os.Getenv("MLFLOW_TEST_OLD_PYTHON")
	if python == "" {
		t.Skip("MLFLOW_TEST_OLD_PYTHON names no Python with an MLflow older than 3.7; make compat does")
	}
	t.Setenv("MLFLOW_TEST_PYTHON", python)
	r, s := realMLflow(t, mlflowtest.RealConfig{})
	found := "it is " + s.Version + ", which takes no traces"
	names(t, r.probe(t, "mlflow-version"), Fail, found, "Upgrade MLflow to 3.7")
	names(t, r.probe(t, "mlflow-traces"), Fail, "/v1/traces")
	r.set("MLFLOW_ENABLE_TRACING=false")
	names(t, r.probe(t, "mlflow-version"), Warn, found)
}
