// Package e2e runs worker, Collector and MLflow as the real programs that they are and
// reads the result back through MLflow's own Python client. Its tests need the build tag
// e2e; `make e2e` runs them.
package e2e
