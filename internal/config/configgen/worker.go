package main

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/config"
)

// chapter begins at a field of config.Config.
type chapter struct{ field, title string }

var chapters = []chapter{
	{"Profile", "Profile"},
	{"DBPath", "Jobs, log, health"},
	{"MaxLinks", "Slack"},
	{"FeedbackUp", "Reactions and notices"},
	{"OpenAIKey", "Models"},
	{"RetrievalAllow", "Pages"},
	{"EnableTracking", "What is recorded"},
	{"SDKDisabled", "How it is sent"},
	{"Redaction", "Redaction"},
}

// worker writes the settings of commentator and mlflowctl.
func worker(b *strings.Builder, root string) error {
	comments, err := readDocs(filepath.Join(root, "internal", "config"))
	if err != nil {
		return err
	}
	b.WriteString("## commentator and mlflowctl\n\n")
	names := map[string]string{}
	for f := range reflect.TypeFor[config.Config]().Fields() {
		if tag := f.Tag.Get("env"); tag != "" && tag != "-" {
			names[f.Name] = tag
		}
	}
	var rows []row
	title := ""
	flush := func() {
		if len(rows) > 0 {
			fmt.Fprintf(b, "### %s\n\n", title)
			table(b, "setting", rows)
		}
		rows = nil
	}
	seen := 0
	for f := range reflect.TypeFor[config.Config]().Fields() {
		name, found := names[f.Name]
		if !found {
			continue
		}
		if i := slices.IndexFunc(chapters, func(c chapter) bool { return c.field == f.Name }); i >= 0 {
			flush()
			title = chapters[i].title
			seen++
		}
		doc := comments["Config."+f.Name]
		if doc == "" && len(rows) > 0 { // it shares the comment of the field before
			last := &rows[len(rows)-1]
			last.names += ", `" + name + "`"
			continue
		}
		if doc == "" {
			return fmt.Errorf("write settings: %s (%s) has no comment", f.Name, name)
		}
		rows = append(rows, row{"`" + name + "`", f.Tag.Get("envDefault"), sentence(doc, names)})
	}
	flush()
	if seen != len(chapters) {
		return fmt.Errorf("write settings: %d of %d chapters begin at a field that is there", seen, len(chapters))
	}
	return nil
}
