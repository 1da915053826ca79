package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// configuration is the whole one as the Collector resolved it, with --config and --set. An exporter
// sees its own part only, so that the Collector notices at the start, and `validate` not at all,
// when it names an extension that does not run.
type configuration struct{ all *confmap.Conf }

// factory makes a converter that changes nothing.
func (c *configuration) factory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(confmap.ConverterSettings) confmap.Converter { return c })
}

// Convert implements confmap.Converter.
func (c *configuration) Convert(_ context.Context, conf *confmap.Conf) error {
	c.all = conf
	return nil
}

// checkIn lets the command `validate` look at the extensions and addresses too.
func (c *configuration) checkIn(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.Name() != "validate" {
			continue
		}
		validate := sub.RunE
		sub.RunE = func(cmd *cobra.Command, args []string) error {
			err := validate(cmd, args)
			embedded := !cmd.Flags().Changed("config") // one of one's own may use the variables for other things
			if err != nil {
				if embedded && c.all != nil && isWrongPort(err.Error()) {
					return cmp.Or(c.wrongAddresses(os.Getenv), err)
				}
				return err
			}
			err = unfitExtensions(c.all)
			if embedded {
				err = errors.Join(err, c.wrongAddresses(os.Getenv))
			}
			return err
		}
	}
}

// isWrongPort reports whether an error is that of a port of the Collector's own metrics which is no
// number. The error names its place in the configuration only.
func isWrongPort(text string) bool {
	return strings.Contains(text, "prometheus.port' expected type 'int'")
}

// wrongAddresses names the variables with an address that is none, if the configuration uses them.
func (c *configuration) wrongAddresses(getenv func(string) string) error {
	used := map[string]bool{}
	var walk func(value any)
	walk = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			for _, one := range v {
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		default:
			used[fmt.Sprint(v)] = true
		}
	}
	walk(c.all.ToStringMap())
	return wrongAddresses(func(name string) string {
		if value := getenv(name); used[value] {
			return value
		}
		return ""
	})
}

// able lists the types of extensions of this distribution that can be what a key of the mlflow
// exporter names. None authenticates: that takes a distribution with such an extension.
var able = map[string]struct {
	types  []string
	advice string
}{
	"storage":             {[]string{"file_storage"}, "does not store: name one such as file_storage"},
	"auth::authenticator": {nil, "authenticates no requests, and nor does another one of this program: use `headers`, or a Collector with an extension such as bearertokenauth"},
}

// unfitExtensions names the extensions that mlflow exporters need and the Collector does not start, or
// that do something else. An exporter that is in no pipeline is not started either.
func unfitExtensions(conf *confmap.Conf) error {
	started := map[component.ID]bool{}
	for _, id := range ids(conf.Get("service::extensions")) {
		started[id] = true
	}
	used := map[component.ID]bool{}
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for name := range pipelines {
		for _, id := range ids(conf.Get("service::pipelines::" + name + "::exporters")) {
			used[id] = true
		}
	}
	var errs []error
	exporters, _ := conf.Get("exporters").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(exporters)) {
		if id := ids([]any{name}); len(id) == 0 || id[0].Type().String() != "mlflow" || !used[id[0]] {
			continue
		}
		for _, key := range []string{"storage", "auth::authenticator"} {
			at := strings.Join([]string{"exporters", name, key}, "::")
			for _, id := range ids([]any{conf.Get(at)}) {
				switch fit := able[key]; {
				case !started[id]:
					errs = append(errs, fmt.Errorf("`%s` names the extension %s, which is not in `service::extensions`: add it there, or name one of those", at, id))
				case !slices.Contains(fit.types, id.Type().String()):
					errs = append(errs, fmt.Errorf("`%s` names the extension %s, which %s", at, id, fit.advice))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// ids are the names of components in a list.
func ids(list any) (found []component.ID) {
	all, _ := list.([]any)
	for _, one := range all {
		var id component.ID
		if text, ok := one.(string); ok && id.UnmarshalText([]byte(text)) == nil {
			found = append(found, id)
		}
	}
	return found
}
