package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
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
		"no storage":       {[]string{"exporters.mlflow.storage=health_check"}, []string{"`exporters::mlflow::storage` names the extension health_check, which does not store"}},
		"no authenticator": {[]string{"exporters.mlflow.auth={authenticator: file_storage}"}, []string{"`exporters::mlflow::auth::authenticator` names the extension file_storage, which authenticates no requests"}},
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

// authenticator is extensionauth.HTTPClient, which the exporter asks for.
type authenticator interface {
	RoundTripper(base http.RoundTripper) (http.RoundTripper, error)
}

// What validate takes extensions for is what they are.
func TestWhatExtensionsCanBe(t *testing.T) {
	inDir(t)
	factories, err := components()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for id, factory := range factories.Extensions {
		set := extensiontest.NewNopSettings(id)
		cfg := factory.CreateDefaultConfig()
		if of, ok := cfg.(*filestorage.Config); ok {
			of.Directory, of.CreateDirectory = "data", true
		}
		e, err := factory.Create(t.Context(), set, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := e.(storage.Extension); ok {
			found["storage"] = append(found["storage"], id.String())
		}
		if _, ok := e.(authenticator); ok {
			found["auth::authenticator"] = append(found["auth::authenticator"], id.String())
		}
	}
	for key, fit := range able {
		slices.Sort(found[key])
		if !slices.Equal(found[key], fit.types) {
			t.Errorf("%s can be %v, validate takes %v", key, found[key], fit.types)
		}
	}
}
