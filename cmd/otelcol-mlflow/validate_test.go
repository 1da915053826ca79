package main

import (
	"strings"
	"testing"
)

// An extension that an exporter names and that does not run is named by validate, as at the start,
// where the configuration is put together of several parts too.
func TestValidateKnowsWhichExtensionsRun(t *testing.T) {
	for name, c := range map[string]struct{ set, want []string }{
		"as it is":         {nil, nil},
		"storage":          {[]string{"exporters.mlflow.storage=redis"}, []string{"`exporters::mlflow::storage` names the extension redis, which is not in `service::extensions`"}},
		"auth":             {[]string{"exporters.mlflow.auth={authenticator: nope}"}, []string{"`exporters::mlflow::auth::authenticator` names the extension nope,"}},
		"both":             {[]string{"exporters.mlflow.storage=redis/2", "exporters.mlflow.auth={authenticator: nope}"}, []string{"redis/2", "nope"}},
		"not started":      {[]string{"service.extensions=[health_check]"}, []string{"names the extension file_storage,"}},
		"in no pipeline":   {[]string{"exporters.mlflow/spare={endpoint: 'http://127.0.0.1:5000', storage: redis}"}, nil},
		"another exporter": {[]string{"exporters.mlflow/b={endpoint: 'http://127.0.0.1:5000', storage: redis}", "service.pipelines={traces/b: {receivers: [otlp], exporters: [mlflow/b]}}"}, []string{"`exporters::mlflow/b::storage` names the extension redis,"}},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t)
			args := []string{"validate", "--config", "yaml:" + defaultConfig}
			for _, set := range c.set {
				args = append(args, "--set", set)
			}
			out, err := execute(t, args...)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %v", want, err)
				}
			}
		})
	}
}
