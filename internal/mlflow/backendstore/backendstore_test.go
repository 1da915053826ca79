package backendstore

import "testing"

func TestParse(t *testing.T) {
	for address, want := range map[string]Store{
		"sqlite:///mlflow.db":                     {"sqlite", "mlflow.db"},
		"sqlite:////var/lib/mlflow.db":            {"sqlite", "/var/lib/mlflow.db"},
		"sqlite+pysqlite:////var/lib/mlflow.db":   {"sqlite", "/var/lib/mlflow.db"},
		"sqlite:///mlflow.db?timeout=30":          {"sqlite", "mlflow.db"},
		"sqlite:///a#b%20c.db":                    {"sqlite", "a#b%20c.db"},
		"sqlite://":                               {"sqlite", ""},
		"sqlite://host/mlflow.db":                 {"sqlite", ""},
		"sqlite:///":                              {"sqlite", ""},
		"postgresql+psycopg2://u:p@h/d?sslmode=x": {"postgresql", ""},
		"postgres://h/d":                          {"postgresql", ""},
		"mysql://h/d":                             {"mysql", ""},
		"sqlite:mlflow.db":                        {},
		"mlflow.db":                               {},
		"":                                        {},
	} {
		if got := Parse(address); got != want {
			t.Errorf("%s: %+v, want %+v", address, got, want)
		}
	}
}

func TestRedactedHoldsNoPassword(t *testing.T) {
	for address, want := range map[string]string{
		"postgresql://u:hush@h/d": "postgresql://u:xxxxx@h/d",
		"postgresql://u:hu%sh@h":  "an address that cannot be read",
		"sqlite:///mlflow.db":     "sqlite:///mlflow.db",
	} {
		if got := Redacted(address); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
