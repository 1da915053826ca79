package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/technoshare/commentator/collector/mlflowexporter"
)

// module is where a struct has to come from for its fields to be listed; of those of others the
// page says what they begin with.
const module = "github.com/technoshare/commentator/"

// keys walks the configuration of the exporter.
type keys struct {
	docs     docs
	defaults *confmap.Conf
	rows     []row
	seen     map[reflect.Type]string // where a struct was listed first
}

// exporter writes the keys of the mlflow exporter.
func exporter(b *strings.Builder, root string) error {
	dir := filepath.Join(root, "collector", "mlflowexporter")
	k := &keys{docs: docs{}, defaults: confmap.New(), seen: map[reflect.Type]string{}}
	for _, d := range []string{dir, filepath.Join(dir, "internal", "reduce")} {
		found, err := readDocs(d)
		if err != nil {
			return err
		}
		maps.Copy(k.docs, found)
	}
	config := mlflowexporter.NewFactory().CreateDefaultConfig()
	if err := k.defaults.Marshal(config); err != nil {
		return fmt.Errorf("read defaults of the exporter: %w", err)
	}
	if err := k.walk(reflect.TypeOf(config).Elem(), ""); err != nil {
		return err
	}
	b.WriteString("## The `mlflow` exporter\n\nKeys of the component in a Collector's configuration; `a::b` is `b` below `a`. Its " +
		"[README](../collector/mlflowexporter/README.md) has examples, and how the parts work together.\n\n")
	table(b, "key", k.rows)
	return nil
}

func (k *keys) walk(t reflect.Type, prefix string) error {
	names := map[string]string{}
	for f := range t.Fields() {
		if tag := f.Tag.Get("mapstructure"); tag != "" {
			names[f.Name] = prefix + tag
		}
	}
	k.seen[t] = strings.TrimSuffix(prefix, "::")
	for f := range t.Fields() {
		key, found := names[f.Name]
		if !found {
			continue
		}
		doc := k.docs[t.Name()+"."+f.Name]
		within := f.Type.Kind() == reflect.Struct && strings.HasPrefix(f.Type.PkgPath()+"/", module) && !strings.Contains(f.Type.Name(), "[")
		if !within {
			if doc == "" {
				return fmt.Errorf("write keys of the exporter: %s.%s (%s) has no comment", t.Name(), f.Name, key)
			}
			k.rows = append(k.rows, row{"`" + key + "`", k.value(key), sentence(doc, names)})
			continue
		}
		if first, again := k.seen[f.Type]; again {
			k.rows = append(k.rows, row{"`" + key + "`", "", strings.TrimSpace(sentence(doc, names) + " The same keys as `" + first + "`.")})
			continue
		}
		if doc != "" {
			k.rows = append(k.rows, row{"`" + key + "`", "", sentence(doc, names)})
		}
		if err := k.walk(f.Type, key+"::"); err != nil {
			return err
		}
	}
	return nil
}

// value is a default as somebody would write it, empty where there is nothing to write.
func (k *keys) value(key string) string {
	v := k.defaults.Get(key)
	switch v := v.(type) {
	case nil:
		return ""
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if text := scalar(v[name]); text != "" {
				parts = append(parts, name+": "+text)
			}
		}
		if len(parts) == 0 {
			return ""
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return scalar(v)
}

// scalar is empty for lists, maps and what is nothing.
func scalar(v any) string {
	switch r := reflect.ValueOf(v); {
	case !r.IsValid(), r.Kind() == reflect.Map, r.Kind() == reflect.Slice:
		return ""
	case r.Kind() == reflect.String && r.Len() == 0:
		return ""
	}
	return strings.TrimSuffix(shortDuration.ReplaceAllString(fmt.Sprint(v), "$1"), "0m")
}

// shortDuration finds the zeros with which Go writes a duration of whole hours or minutes.
var shortDuration = regexp.MustCompile(`^([0-9]+[hm](?:[0-9]+m)?)0s$`)
