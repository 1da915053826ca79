package retrieval

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/sentence"
)

var (
	// defaultTitle matches titles that programs give to files without one.
	defaultTitle = regexp.MustCompile(`(?i)^(untitled.*|microsoft (word|powerpoint) - .*|document\d*|.*\.(docx?|pptx?|tex|dvi|indd))$`)

	// wordBreak is what PDFium writes where a word was divided at the end of a line.
	wordBreak = regexp.MustCompile(`[\x{00ad}\x{fffe}\x{0002}][ \t]*(\r?\n)?[ \t]*`)

	// pageNumber matches lines that hold nothing else.
	pageNumber = regexp.MustCompile(`(?i)^(page )?\d{1,4}( (of|/) \d{1,4})?$`)
)

// pdfBlocks puts the lines of pages together again: PDF knows lines and their places, not
// paragraphs. A paragraph ends where a line is empty, or where a short line ends a sentence;
// a short line after that which ends none is a heading, a block of its own. Paragraphs go on
// over the end of a page.
func pdfBlocks(pages []string) []string {
	var blocks []string
	var current string
	flush := func() {
		if current != "" {
			blocks = append(blocks, current)
		}
		current = ""
	}
	for _, page := range pages {
		lines := pdfLines(page)
		short := usualLength(lines) * 4 / 5
		for i, line := range lines {
			length := utf8.RuneCountInString(line)
			begins := current == "" || sentence.Ends(current)
			switch {
			case line == "":
				flush()
			case pageNumber.MatchString(line) && (i == 0 || i == len(lines)-1):
			case length < short && begins && !sentence.Ends(line) && isHeading(line):
				flush()
				blocks = append(blocks, line)
			default:
				current = joinLines(current, line)
				if length < short && sentence.Ends(line) {
					flush()
				}
			}
		}
	}
	flush()
	return blocks
}

// pdfLines returns the lines of a page, without words divided between them and without the
// empty ones at both ends.
func pdfLines(page string) []string {
	page = strings.ReplaceAll(wordBreak.ReplaceAllString(page, ""), "\r\n", "\n")
	lines := strings.Split(strings.TrimSpace(page), "\n")
	for i := range lines {
		lines[i] = oneLine(lines[i])
	}
	return lines
}

// usualLength is the median of the lines' lengths, in characters, without those that are too
// short to be of a paragraph.
func usualLength(lines []string) int {
	var lengths []int
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 20 {
			lengths = append(lengths, n)
		}
	}
	if len(lengths) == 0 {
		return 0
	}
	slices.Sort(lengths)
	return lengths[len(lengths)/2]
}

// isHeading reports whether a line begins like one: with a capital letter, or a number
// before one.
func isHeading(line string) bool {
	if utf8.RuneCountInString(line) > 80 {
		return false
	}
	for _, r := range line {
		switch {
		case unicode.IsUpper(r):
			return true
		case unicode.IsDigit(r), unicode.IsSpace(r), unicode.IsPunct(r):
		default:
			return false
		}
	}
	return false
}

// joinLines sets two lines of a paragraph together. A hyphen at the end of the first stays,
// since it may belong to the word.
func joinLines(a, b string) string {
	first, _ := utf8.DecodeRuneInString(b)
	if a == "" || strings.HasSuffix(a, "-") && unicode.IsLower(first) {
		return a + b
	}
	return a + " " + b
}
