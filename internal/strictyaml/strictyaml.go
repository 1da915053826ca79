// Package strictyaml decodes YAML that people write: a key that is not known is an error, and errors
// name lines and keys, not the types of the program.
package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// NewDecoder returns a decoder that knows the keys of what is decoded into, and no others. Its errors
// are for Explain.
func NewDecoder(r io.Reader) *yaml.Decoder {
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	return d
}

var (
	unknownKey = regexp.MustCompile(`^(line \d+: )field (.*) not found in type (.*)$`)
	otherKind  = regexp.MustCompile("(?s)^(line \\d+: )cannot unmarshal !!(\\w+)(?: `(.*)`)? into (.*)$")
)

// Explain says in words what is wrong with YAML that was to be decoded into v. Other errors than those
// of wrong keys and values stay as they are.
func Explain(err error, v any) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return err
	}
	known := map[string]reflect.Type{}
	collect(reflect.TypeOf(v), known)
	errs := make([]error, len(wrong.Errors))
	for i, text := range wrong.Errors {
		errs[i] = errors.New(explain(text, known))
	}
	return errors.Join(errs...)
}

func explain(text string, known map[string]reflect.Type) string {
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%s%s is not a known key; use one of %s", m[1], m[2], strings.Join(keys(known[m[3]]), ", "))
	}
	m := otherKind.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	found := m[2]
	switch found {
	case "seq":
		found = "a list"
	case "map":
		found = "keys with values"
	case "null":
		found = "nothing"
	case "str", "int", "float", "bool", "timestamp":
		found = m[3]
	}
	return fmt.Sprintf("%swant %s, found %s", m[1], wanted(m[4], known), found)
}

// wanted says what a type is written as.
func wanted(name string, known map[string]reflect.Type) string {
	t := known[name]
	if t == nil {
		return "another value"
	}
	switch t.Kind() {
	case reflect.Struct:
		if k := keys(t); len(k) > 0 {
			return "the keys " + strings.Join(k, ", ")
		}
	case reflect.Map:
		return "keys with values"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "another value"
}

// collect notes the types that v is made of, by the names that the decoder's errors have for them.
func collect(t reflect.Type, known map[string]reflect.Type) {
	if t == nil || known[t.String()] == t {
		return
	}
	known[t.String()] = t
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		collect(t.Elem(), known)
	case reflect.Map:
		collect(t.Key(), known)
		collect(t.Elem(), known)
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				collect(t.Field(i).Type, known)
			}
		}
	}
}

// keys are those of a struct, in its order.
func keys(t reflect.Type) (list []string) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case name != "":
			list = append(list, name)
		default:
			list = append(list, strings.ToLower(f.Name))
		}
	}
	return list
}
