package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// settingOf returns the name that a line of an .env file sets, empty when it sets none.
func settingOf(line string) (name, value string) {
	body := strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(body, "export"); ok && strings.TrimLeft(rest, " \t") != rest {
		body = strings.TrimSpace(rest)
	}
	name, value, found := strings.Cut(body, "=")
	if !found || strings.HasPrefix(body, "#") {
		return "", ""
	}
	return strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `'"`)
}

// lead makes the settings that say where something lies lead into the restored folder. A line
// that already does, relative to that folder, stays; another one becomes a comment with the
// new line behind it. What no file sets is added to .env where the default leads elsewhere. It
// returns the files that it changed and the new lines.
func lead(into string, envFiles []string, places []Place) (changed map[string]bool, lines []string, err error) {
	changed = map[string]bool{}
	set := map[string]bool{}
	for _, file := range envFiles {
		path := filepath.Join(into, filepath.FromSlash(file))
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read settings file: %w", err)
		}
		var out strings.Builder
		for line := range strings.Lines(string(text)) {
			name, value := settingOf(line)
			p, ours := placeOf(places, name)
			if ours {
				set[name] = true
			}
			if !ours || leadsTo(p, value) {
				out.WriteString(line)
				continue
			}
			changed[file] = true
			lines = append(lines, p.line())
			fmt.Fprintf(&out, "# Before the restore: %s\n%s\n", strings.TrimRight(line, "\r\n"), p.line())
		}
		if changed[file] {
			if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
				return nil, nil, fmt.Errorf("write settings file: %w", err)
			}
		}
	}
	var added strings.Builder
	for _, p := range places {
		if !set[p.Setting] && p.Path != p.Default {
			lines = append(lines, p.line())
			fmt.Fprintf(&added, "%s\n", p.line())
		}
	}
	if added.Len() == 0 {
		return changed, lines, nil
	}
	changed[".env"] = true
	f, err := os.OpenFile(filepath.Join(into, ".env"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("write settings file: %w", err)
	}
	_, err = fmt.Fprintf(f, "\n# Where the restored files are, by mlflowctl restore.\n%s", &added)
	return changed, lines, errors.Join(err, f.Close())
}

func placeOf(places []Place, setting string) (Place, bool) {
	for _, p := range places {
		if p.Setting == setting {
			return p, true
		}
	}
	return Place{}, false
}

const storeSetting = "MLFLOW_BACKEND_STORE"

// line sets the setting to its place in the folder that the programs are started in.
func (p Place) line() string {
	if p.Setting == storeSetting {
		return p.Setting + "=sqlite:///" + p.Path
	}
	return p.Setting + "=./" + p.Path
}

// leadsTo reports whether a value names the place, in that folder.
func leadsTo(p Place, value string) bool {
	if p.Setting == storeSetting {
		value = strings.TrimPrefix(value, "sqlite:///")
	}
	return value != "" && !filepath.IsAbs(value) && filepath.ToSlash(filepath.Clean(value)) == p.Path
}
