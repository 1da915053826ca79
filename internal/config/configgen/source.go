package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

// docs holds the comments of the fields of structs, as Type.Field.
type docs map[string]string

// readDocs reads the comments of all structs of a package.
func readDocs(dir string) (docs, error) {
	out := docs{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("read comments: no Go files in %s: %w", dir, fs.ErrNotExist)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("read comments: %w", err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, is := n.(*ast.TypeSpec); is {
				if s, is := spec.Type.(*ast.StructType); is {
					out.add(spec.Name.Name, s)
				}
			}
			return true
		})
	}
	return out, nil
}

func (d docs) add(name string, s *ast.StructType) {
	for _, f := range s.Fields.List {
		text := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
		for _, ident := range f.Names {
			d[name+"."+ident.Name] = text
		}
	}
}

var (
	// camel is a Go name that cannot be a word of a sentence.
	camel = regexp.MustCompile(`\b(?:Config\.)?[A-Z][a-z]*[A-Z]\w*\b`)
	// within is a capital word that follows one without: the name of a field, if there is one.
	within = regexp.MustCompile(`([a-z,] )(?:Config\.)?([A-Z][a-z]+)\b`)
	// verb follows the name of a field at the beginning of its comment.
	verb = regexp.MustCompile(`^(?:is|are) `)
)

// sentence turns a comment on a field into one on a setting: it does not begin with the field's
// name, which stands beside it, and the names of other fields become those of their settings.
func sentence(doc string, names map[string]string) string {
	begin := ""
	first, rest, _ := strings.Cut(doc, " ")
	if _, found := names[strings.TrimSuffix(first, ":")]; found {
		if second, _, _ := strings.Cut(rest, " "); second == "and" {
			begin = "`" + names[first] + "` "
			doc = rest
		} else {
			doc = verb.ReplaceAllString(rest, "")
			doc = strings.ToUpper(doc[:1]) + doc[1:]
		}
	}
	setting := func(word string) (string, bool) {
		name, found := names[strings.TrimPrefix(word, "Config.")]
		return "`" + name + "`", found
	}
	doc = camel.ReplaceAllStringFunc(doc, func(word string) string {
		if name, found := setting(word); found {
			return name
		}
		return word
	})
	return begin + within.ReplaceAllStringFunc(doc, func(match string) string {
		before, word := match[:2], match[2:]
		if name, found := setting(word); found {
			return before + name
		}
		return match
	})
}
