package config

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/boundedfile"
)

// Warning is about a line or a name that was understood but looks like a mistake.
type Warning struct {
	Key     string
	Message string // a sentence with the place, "…/.env:3: …", where there is one
}

func (w Warning) String() string { return w.Message }

// Dotenv reads a .env file; a missing file is an empty one.
//
// A line is KEY=value, with "export " before it if one likes, a comment (#), or empty.
// Values may stand in single quotes (taken as they are) or double quotes (\n, \t, \" and \\
// are understood); without quotes a value ends at a # that has a space before it. A # right behind =
// belongs to the value, as for a shell and for python-dotenv. Nothing is expanded. Of repeated
// keys the last wins, with a warning. Spaces around = are an error, because a shell
// and Docker read such a line in another way each. The error joins all wrong lines; the values are
// those of the others.
func Dotenv(path string) (map[string]string, []Warning, error) {
	values, _, warnings, err := readDotenv(path)
	return values, warnings, err
}

// readDotenv is Dotenv and says in which line each value stands.
func readDotenv(path string) (values map[string]string, lines map[string]int, warnings []Warning, err error) {
	b, err := boundedfile.Read(path, boundedfile.MaxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil, nil, nil
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read settings file: %w", err)
	}
	values, lines, warnings, err = parseDotenv(path, string(b))
	return values, lines, shownWarnings(warnings), shownError(err)
}

func parseDotenv(path, text string) (values map[string]string, lines map[string]int, warnings []Warning, err error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, nil, nil, fmt.Errorf("read settings file %s: it is not UTF-8 text; save it as UTF-8", path)
	}
	values, lines = map[string]string{}, map[string]int{}
	var wrong []error
	text = strings.TrimPrefix(text, "\ufeff")
	for i, line := range strings.Split(text, "\n") {
		key, value, glued, err := parseLine(line)
		if glued != "" {
			warnings = append(warnings, Warning{glued, fmt.Sprintf(
				"%s:%d: a line break seems to be missing before %s, which has no effect there; put it on a line of its own", path, i+1, glued)})
		}
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", path, i+1, err))
			continue
		case key == "":
			continue
		}
		if before, found := lines[key]; found {
			warnings = append(warnings, Warning{key, fmt.Sprintf(
				"%s:%d: %s is already set in line %d; the last one wins, remove the other", path, i+1, key, before)})
		}
		if odd := oddValue(line, value); odd != "" {
			warnings = append(warnings, Warning{key, fmt.Sprintf("%s:%d: %s %s", path, i+1, key, odd)})
		}
		lines[key] = i + 1
		values[key] = value
	}
	return values, lines, warnings, errors.Join(wrong...)
}

// parseLine reads one line; the key is empty when the line holds none. Lost is a setting that
// stands at the end of another line, see glued.
func parseLine(line string) (key, value, lost string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", glued("", line, false), nil
	}
	body := line
	if rest, found := strings.CutPrefix(line, "export"); found && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
		body = strings.TrimLeft(rest, " \t")
	}
	before, after, found := strings.Cut(body, "=")
	if !found {
		return "", "", "", fmt.Errorf("this line has no =; write KEY=value, or # before a comment")
	}
	key = strings.TrimSpace(before)
	if !validKey(key) {
		return "", "", "", fmt.Errorf("%q is no name for a setting; use letters, digits and _, and no digit first", key)
	}
	written := strings.TrimSpace(after)
	value, rest, err := parseValue(after)
	lost = glued(value, rest, isQuoted(written))
	if err != nil {
		return "", "", lost, fmt.Errorf("%s: %w", key, err)
	}
	if before != key || after != strings.TrimLeft(after, " \t") && value != "" {
		return "", "", lost, fmt.Errorf("%s has spaces around =; write %s", key, corrected(key, value))
	}
	return key, value, lost, nil
}

func isQuoted(s string) bool { return s != "" && (s[0] == '"' || s[0] == '\'') }

// comment is where one begins behind a value without quotes.
var comment = regexp.MustCompile(`[ \t]#`)

// parseValue reads what stands behind =; rest is what follows the value, a comment.
func parseValue(after string) (value, rest string, err error) {
	s := strings.TrimSpace(after)
	if s == "" || s[0] == '#' && after[0] != '#' {
		return "", s, nil
	}
	if !isQuoted(s) {
		value = s
		if at := comment.FindStringIndex(s); at != nil {
			value, rest = strings.TrimSpace(s[:at[0]]), s[at[1]:]
		}
		if value[0] == '#' && strings.ContainsAny(value, " \t") {
			// For a shell the value is the first word, for python-dotenv all; most likely it is a comment.
			return "", rest, errors.New("this is no comment, since no space is before the #; put one there, or quotes around a value that is meant so")
		}
		return value, rest, nil
	}
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			if rest = strings.TrimSpace(s[i+1:]); rest != "" && rest[0] != '#' {
				return "", rest, errors.New("there is text after the closing quote; remove it or put it inside the quotes")
			}
			return b.String(), rest, nil
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '"', '\\':
				b.WriteByte(s[i])
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("the value begins with %c but the line does not close it; a value is one line", quote)
}

// unexpanded is how a shell would name a variable: ${NAME}, or $NAME at the beginning.
var unexpanded = regexp.MustCompile(`^\$[A-Z_]|\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// composed is what docker compose replaces in a value of a file, unless it stands in single quotes.
var composed = regexp.MustCompile(`\$[A-Za-z_{$]`)

// oddValue says what of a value looks like a mistake; empty: nothing does. It does not repeat
// the value, which may be a secret.
func oddValue(line, value string) string {
	_, written, _ := strings.Cut(line, "=")
	written = strings.TrimSpace(written)
	switch {
	case written == "" || written[0] == '\'' || value == "":
		return "" // as it is, on purpose
	case strings.ContainsRune("“”‘’„«", firstRune(value)) || strings.ContainsRune("“”‘’»", lastRune(value)):
		return "stands in typographic quotes, which belong to the value here; write \" or '"
	case written[0] == '#':
		return "begins with #, which belongs to the value here; put it in quotes if it is meant so, or a space before a comment"
	case written[0] != '"' && strings.ContainsAny(value[len(value)-1:], `"'`):
		return "ends with a quote that belongs to the value; remove it, or put one before the value too"
	case unexpanded.MatchString(value) && strings.Contains(value, "'"): // at which single quotes would end
		return "names a variable, and nothing is expanded here; write the value itself"
	case unexpanded.MatchString(value):
		return "names a variable, and nothing is expanded here; write the value itself, or put it in single quotes if it is meant so"
	case composed.MatchString(value) && strings.Contains(value, "'"):
		return "has a $ that docker compose replaces, with what follows it, and nothing else does; single quotes would end at the ', and $$ is one $ for compose alone: choose a value without $ or without '"
	case composed.MatchString(value):
		return "has a $ that docker compose replaces, with what follows it, and nothing else does; put the value in single quotes, in which it is the same for all"
	}
	return ""
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func lastRune(s string) rune {
	r, _ := utf8.DecodeLastRuneInString(s)
	return r
}

func validKey(key string) bool {
	for i, c := range key {
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return key != ""
}

// corrected is the line as it should be; secrets don't appear in messages.
func corrected(key, value string) string {
	if IsSecret(key) || shown(value) != value || builtIn.Text(key+"="+value) != key+"="+value {
		return key + "=…"
	}
	switch {
	case strings.Contains(value, "$") && !strings.ContainsAny(value, "'\n"):
		value = "'" + value + "'"
	case strings.ContainsAny(value, " \t\n#'\"\\$"):
		value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(value) + `"`
	}
	return key + "=" + value
}

func looksSecret(key string) bool {
	for _, part := range []string{"KEY", "TOKEN", "SECRET", "PASS", "PWD", "HEADERS", "CREDENTIAL"} {
		if strings.Contains(strings.ToUpper(key), part) {
			return true
		}
	}
	return false
}
