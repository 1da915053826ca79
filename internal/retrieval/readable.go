package retrieval

import (
	"net/url"
	"strings"

	"codeberg.org/readeck/go-readability/v2"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxElements bounds the work of the readability parser, whose scoring passes visit each
// element many times. Larger pages fall back to their plain body text.
const maxElements = 50_000

// document is what a page says: its title and its paragraphs in reading order.
type document struct {
	title  string
	blocks []string // one line each, blanks collapsed
	// whole is false when the article could not be told from the rest of the page, so
	// that blocks may hold menus and footers.
	whole bool
	// more says that the document goes on behind the blocks.
	more bool
}

// readDocument finds the readable text of p, which is no PDF: the article of an HTML page,
// or, when the page has no recognisable one, all text of its body.
func readDocument(p *page) document {
	text := decode(p.body, p.charset)
	if p.format != formatHTML {
		return plainDocument(text)
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		// The parser refuses elements nested more than 512 deep, and nothing else.
		return document{blocks: tokenBlocks(text)}
	}
	dropNotes(root)
	title := oneLine(firstText(root, atom.Title))
	if article, ok := findArticle(root, p.url); ok {
		if blocks := nodeBlocks(article.Node); len(blocks) > 0 {
			if t := oneLine(article.Title()); t != "" {
				title = t
			}
			return document{title: title, blocks: blocks, whole: true}
		}
	}
	return document{title: title, blocks: nodeBlocks(root)}
}

// findArticle asks the readability parser, which works on a copy of root. It is foreign
// code under hostile input: a panic there means that it found nothing.
func findArticle(root *html.Node, link *url.URL) (article readability.Article, ok bool) {
	defer func() {
		if recover() != nil {
			article, ok = readability.Article{}, false
		}
	}()
	elements := 0
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			elements++
		}
		if elements > maxElements { // the parser's own limit comes after its copy
			return readability.Article{}, false
		}
	}
	parser := readability.NewParser()
	article, err := parser.ParseDocument(root, link)
	return article, err == nil && article.Node != nil
}

// Elements whose text is no prose. Headings are left out too: a snippet holds sentences.
var skipped = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Head: true,
	atom.Nav: true, atom.Footer: true, atom.Aside: true, atom.Form: true, atom.Button: true,
	atom.Select: true, atom.Textarea: true, atom.Svg: true, atom.Math: true, atom.Iframe: true,
	atom.Object: true, atom.Canvas: true, atom.Pre: true, atom.Figcaption: true,
	atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true,
}

// Elements that don't interrupt a line of text.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.B: true, atom.Bdi: true, atom.Bdo: true, atom.Big: true,
	atom.Cite: true, atom.Code: true, atom.Data: true, atom.Del: true, atom.Dfn: true, atom.Em: true,
	atom.Font: true, atom.I: true, atom.Ins: true, atom.Kbd: true, atom.Label: true, atom.Mark: true,
	atom.Q: true, atom.Rp: true, atom.Rt: true, atom.Ruby: true, atom.S: true, atom.Samp: true,
	atom.Small: true, atom.Span: true, atom.Strike: true, atom.Strong: true, atom.Sub: true,
	atom.Sup: true, atom.Time: true, atom.Tt: true, atom.U: true, atom.Var: true, atom.Wbr: true,
}

// blockWriter gathers text into blocks.
type blockWriter struct {
	blocks []string
	line   strings.Builder
}

func (w *blockWriter) flush() {
	if line := oneLine(w.line.String()); line != "" {
		w.blocks = append(w.blocks, line)
	}
	w.line.Reset()
}

// nodeBlocks returns the text below n, a block for each block-level element. It recurses
// no deeper than the HTML parser lets elements nest.
func nodeBlocks(n *html.Node) []string {
	var w blockWriter
	w.walk(n)
	w.flush()
	return w.blocks
}

func (w *blockWriter) walk(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		w.line.WriteString(n.Data)
		return
	case html.ElementNode:
		if skipped[n.DataAtom] || hidden(n) {
			w.flush()
			return
		}
	}
	breaks := n.Type == html.ElementNode && !inline[n.DataAtom]
	if breaks {
		w.flush()
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.walk(c)
	}
	if breaks {
		w.flush()
	}
}

func hidden(n *html.Node) bool {
	for _, a := range n.Attr {
		if a.Key == "hidden" || a.Key == "aria-hidden" && a.Val == "true" {
			return true
		}
	}
	return false
}

// tokenBlocks returns the text of HTML that cannot be parsed into a tree.
func tokenBlocks(text string) []string {
	var w blockWriter
	within := atom.Atom(0) // the script or style element that we are in
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		switch z.Next() {
		case html.ErrorToken:
			w.flush()
			return w.blocks
		case html.TextToken:
			if within == 0 {
				w.line.Write(z.Text())
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			tag := atom.Lookup(name)
			if within = 0; tag == atom.Script || tag == atom.Style || tag == atom.Title {
				within = tag
			}
			if !inline[tag] {
				w.flush()
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if within = 0; !inline[atom.Lookup(name)] {
				w.flush()
			}
		}
	}
}

// plainDocument splits plain text or Markdown at blank lines. A first Markdown heading is
// the title; headings and fenced code are no prose.
func plainDocument(text string) document {
	d := document{whole: true}
	fenced := false
	var w blockWriter
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch heading := strings.TrimLeft(line, "#"); {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
			w.flush()
		case fenced:
		case line == "":
			w.flush()
		case heading != line && strings.HasPrefix(heading, " "):
			w.flush()
			if d.title == "" {
				d.title = oneLine(heading)
			}
		default:
			w.line.WriteString(line + "\n")
		}
	}
	w.flush()
	d.blocks = w.blocks
	return d
}

// firstText returns the text of the first element of a kind.
func firstText(n *html.Node, tag atom.Atom) string {
	for d := range n.Descendants() {
		if d.DataAtom == tag && d.FirstChild != nil {
			return d.FirstChild.Data
		}
	}
	return ""
}

// oneLine collapses blanks, including no-break spaces, and drops soft hyphens,
// zero-width characters and control characters.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u00ad' || r == '\u200b' || r == '\u2060' || r == '\ufeff':
			return -1
		case r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f:
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
