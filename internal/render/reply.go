package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
)

var _ commentator.Renderer = Reply

// Reply lays the comment on a link out for Slack: as Text, and as blocks with the address of the
// page above them. What fits into one message is one; else it is divided at the borders of
// sections, or of items when a section alone does not fit. An item that is too long for a block
// is cut.
//
// The blocks are rich text. Their texts are shown to the letter: there is no markup in them that
// a page could use for a mention, a link or a format.
func Reply(c commentator.Comment, link string) commentator.Rendered {
	sections := [][]piece{
		divide(titleTLDR, slack.RTEListBullet, c.TLDR),
		divide(titleSummary, slack.RTEListOrdered, c.Summary),
		divide(titleProjects, slack.RTEListBullet, c.Projects),
		divide(titleSimilar, slack.RTEListBullet, c.SimilarTech),
	}
	r := commentator.Rendered{Text: Slack(c)}
	head := linkBlock(link)
	for _, pieces := range pack(sections, head.size) {
		blocks := make([]slack.Block, 0, len(pieces)+1)
		if head.block != nil && len(r.Messages) == 0 {
			blocks = append(blocks, head.block)
		}
		var text strings.Builder
		for i, p := range pieces {
			switch {
			case i > 0 && p.first:
				text.WriteString(sectionBreak)
			case i > 0:
				text.WriteByte('\n')
			}
			text.WriteString(p.text)
			if p.block != nil {
				blocks = append(blocks, p.block)
			}
		}
		r.Messages = append(r.Messages, message(text.String(), blocks))
	}
	return r
}

// message is a message of blocks. That they are JSON is a matter of their types.
func message(text string, blocks []slack.Block) commentator.RenderedMessage {
	raw, err := json.Marshal(blocks)
	if err != nil {
		panic(fmt.Sprintf("render: encode blocks: %v", err))
	}
	return commentator.RenderedMessage{Text: text, Blocks: raw}
}

// piece is a section, or the part of one that fits into a block.
type piece struct {
	first bool   // of its section
	text  string // as mrkdwn
	block slack.Block
	size  int // the length of its text in either form, with what divides it from the next
}

// divide lays out a section.
func divide(title string, style slack.RichTextListElementType, items []string) []piece {
	lines := bullets
	if style == slack.RTEListOrdered {
		lines = numbered
	}
	short := make([]string, len(items))
	for i, item := range items {
		short[i] = shortened(item, maxItem)
	}
	texts := lines(short)
	if len(items) == 0 && title == titleSimilar {
		none := list(style, 0, [][]slack.RichTextSectionElement{{strong("N/A")}})
		text := section(title, noneSimilar)
		return []piece{{true, text, richText(heading(title), none), length(text) + length(sectionBreak)}}
	}
	var pieces []piece
	for from := 0; from < len(texts) || from == 0; {
		size, to := length(title)+length(sectionBreak)+2, from
		for to < len(texts) {
			n := max(length(texts[to]), cost(short[to])) + 1
			if size+n > maxBlock && to > from {
				break
			}
			size, to = size+n, to+1
		}
		p := piece{first: from == 0, text: strings.Join(texts[from:to], "\n"), size: size}
		var parts []slack.RichTextElement
		if p.first {
			p.text = section(title, texts[:to])
			parts = append(parts, heading(title))
		}
		if l := list(style, from, spans(short[from:to])); len(l.Elements) > 0 {
			parts = append(parts, l)
		}
		if len(parts) > 0 {
			p.block = richText(parts...)
		}
		pieces = append(pieces, p)
		if from = to; to == 0 {
			break
		}
	}
	return pieces
}

// pack distributes the sections to messages. used is what the first message holds already.
func pack(sections [][]piece, used int) [][]piece {
	messages := [][]piece{nil}
	size, count := used, 0
	if used > 0 {
		count = 1
	}
	add := func(pieces []piece) {
		last := len(messages) - 1
		messages[last] = append(messages[last], pieces...)
		size, count = size+total(pieces), count+len(pieces)
	}
	fits := func(pieces []piece) bool {
		return size+total(pieces) <= maxMessage && count+len(pieces) <= maxBlocks
	}
	next := func() {
		if len(messages[len(messages)-1]) > 0 {
			messages, size, count = append(messages, nil), 0, 0
		}
	}
	for _, s := range sections {
		if !fits(s) && total(s) <= maxMessage && len(s) <= maxBlocks {
			next()
		}
		if fits(s) {
			add(s)
			continue
		}
		for i := range s {
			if !fits(s[i : i+1]) {
				next()
			}
			add(s[i : i+1])
		}
	}
	return messages
}

func total(pieces []piece) (size int) {
	for _, p := range pieces {
		size += p.size
	}
	return size
}

func richText(elements ...slack.RichTextElement) slack.Block {
	return slack.NewRichTextBlock("", elements...)
}

func heading(title string) slack.RichTextElement { return slack.NewRichTextSection(strong(title)) }

func strong(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, &slack.RichTextSectionTextStyle{Bold: true})
}

// list is a list whose first item is number before+1.
func list(style slack.RichTextListElementType, before int, items [][]slack.RichTextSectionElement) *slack.RichTextList {
	l := slack.NewRichTextList(style, 0)
	if style == slack.RTEListOrdered {
		l.Offset = before
	}
	for _, item := range items {
		if len(item) > 0 { // Slack refuses empty texts
			l.Elements = append(l.Elements, slack.NewRichTextSection(item...))
		}
	}
	return l
}

func spans(items []string) [][]slack.RichTextSectionElement {
	out := make([][]slack.RichTextSectionElement, len(items))
	for i, item := range items {
		out[i] = inline(item)
	}
	return out
}

// inline returns one item as texts: **bold**, `code` and the rest.
func inline(item string) (elements []slack.RichTextSectionElement) {
	add := func(s string, style *slack.RichTextSectionTextStyle) {
		if s != "" {
			elements = append(elements, slack.NewRichTextSectionTextElement(s, style))
		}
	}
	words := func(s string) {
		end := 0
		for _, at := range bold.FindAllStringSubmatchIndex(s, -1) {
			add(s[end:at[0]], nil)
			add(s[at[2]:at[3]], &slack.RichTextSectionTextStyle{Bold: true})
			end = at[1]
		}
		add(s[end:], nil)
	}
	s := printable(item)
	if strings.TrimSpace(s) == "" {
		return nil
	}
	end := 0
	for _, at := range code.FindAllStringIndex(s, -1) {
		inner := strings.TrimSpace(strings.Trim(s[at[0]:at[1]], "`"))
		if inner == "" {
			continue
		}
		words(s[end:at[0]])
		add(inner, &slack.RichTextSectionTextStyle{Code: true})
		end = at[1]
	}
	words(s[end:])
	return elements
}

// printable returns an item as a single line without control characters and what is no UTF-8.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(oneLine(s), "\uFFFD"))
}
