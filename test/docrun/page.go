package docrun

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Marker begins the first line of a block that is not run; why follows it.
const Marker = "# not run in tests: "

// Page is a page of documentation.
type Page struct {
	Path   string
	Blocks []Block
}

// Block is a fenced block of shell commands.
type Block struct {
	Page    string // name of the file
	Line    int    // of the first command, from 1
	Section string // the heading above it
	Text    string // the commands, each line with its end
	Skip    string // why it is not run; empty: it is
	Output  string // what the page says that it prints; empty: the page says nothing
}

// String says where the block is.
func (b Block) String() string { return fmt.Sprintf("%s:%d (%s)", b.Page, b.Line, b.Section) }

var (
	fence   = regexp.MustCompile("^( *)(```+|~~~+) *([^ `]*)")
	heading = regexp.MustCompile(`^#{1,6} +(.*?)[ #]*$`)
	// shells are other names of what has to be sh.
	shells = []string{"bash", "shell", "console", "zsh", "shell-session", "terminal"}
)

// Read reads a page. The error joins what is wrong with its blocks, each with its line.
func Read(path string) (*Page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	return parse(path, string(text))
}

func parse(path, text string) (*Page, error) {
	p := &Page{Path: path}
	name := filepath.Base(path)
	var errs []error
	lines := strings.SplitAfter(text, "\n")
	section := ""
	adjacent := false // nothing but empty lines since the last block of commands
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], "\n")
		open := fence.FindStringSubmatch(line)
		if open == nil {
			if h := heading.FindStringSubmatch(line); h != nil {
				section = h[1]
			}
			adjacent = adjacent && strings.TrimSpace(line) == ""
			continue
		}
		start := i + 1
		end := start
		for end < len(lines) && !closes(lines[end], open[2]) {
			end++
		}
		if end == len(lines) {
			errs = append(errs, fmt.Errorf("%s:%d: the block has no end", name, i+1))
			break
		}
		body := unindent(lines[start:end], open[1])
		switch language := strings.ToLower(open[3]); {
		case language == "sh":
			b := Block{Page: name, Line: start + 1, Section: section, Text: body}
			first, _, _ := strings.Cut(body, "\n")
			if why, found := strings.CutPrefix(first, strings.TrimSpace(Marker)); found {
				if b.Skip = strings.TrimSpace(why); b.Skip == "" {
					errs = append(errs, fmt.Errorf("%s:%d: %q wants a reason", name, start+1, Marker))
				}
			}
			if strings.TrimSpace(body) == "" {
				errs = append(errs, fmt.Errorf("%s:%d: the block is empty", name, start+1))
			}
			p.Blocks = append(p.Blocks, b)
			adjacent = true
		case slices.Contains(shells, language):
			errs = append(errs, fmt.Errorf("%s:%d: the block is marked %s: mark it sh, so that it is run", name, i+1, language))
			adjacent = false
		case language == "text" && adjacent:
			p.Blocks[len(p.Blocks)-1].Output = body
			adjacent = false
		default:
			adjacent = false
		}
		i = end
	}
	return p, errors.Join(errs...)
}

// closes reports whether a line ends a block that a fence began.
func closes(line, fence string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= len(fence) && strings.Trim(line, fence[:1]) == ""
}

func unindent(lines []string, indent string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimPrefix(line, indent))
	}
	return b.String()
}

// Section returns the blocks below a heading, up to the next one.
func (p *Page) Section(heading string) []Block {
	var out []Block
	for _, b := range p.Blocks {
		if b.Section == heading {
			out = append(out, b)
		}
	}
	return out
}

// Skipped lists why blocks are not run, in their order.
func (p *Page) Skipped() []string {
	var why []string
	for _, b := range p.Blocks {
		if b.Skip != "" {
			why = append(why, b.Skip)
		}
	}
	return why
}

// Match reports what of a block's Output is not in what its commands printed. Each line that the
// page shows has to be there, in this order; other lines may stand between them. In a line … stands
// for any text, so that ids and times can be left open; spaces at its ends do not count.
func Match(want, got string) error {
	lines := strings.Split(got, "\n")
	for i, line := range strings.Split(want, "\n") {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "… ") == "" {
			continue
		}
		var pattern strings.Builder
		for j, part := range strings.Split(line, "…") {
			if j > 0 {
				pattern.WriteString(".*")
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		re, err := regexp.Compile("^" + pattern.String() + "$")
		if err != nil {
			return fmt.Errorf("line %d of the output on the page: %w", i+1, err)
		}
		at := slices.IndexFunc(lines, func(l string) bool { return re.MatchString(strings.TrimSpace(l)) })
		if at < 0 {
			return fmt.Errorf("the page shows the line %q, which was not printed (or not in this order):\n%s", line, got)
		}
		lines = lines[at+1:]
	}
	return nil
}
