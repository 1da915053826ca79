package render

import (
	"strings"
	"unicode/utf16"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// Slack's limits, https://docs.slack.dev/reference/block-kit/blocks: what a message holds in all,
// and what one block of text does. Lengths are in UTF-16 code units, which are never fewer than
// the characters that anybody else counts.
const (
	maxBlocks  = 50
	maxMessage = 12_000
	maxBlock   = 3_000
	// maxItem is the longest item: with its number, its end of line and a title it fits in a block.
	maxItem = maxBlock - 50
)

// length is how long a text is to Slack.
func length(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r)) // a half of a pair counts as one
	}
	return n
}

const ellipsis = "…"

// shortened returns the text, cut at the end of a grapheme cluster and with an ellipsis when it
// is longer than most, as mrkdwn or as it is. The cut is somewhat early where mrkdwn is longer.
func shortened(s string, most int) string {
	if cost(s) <= most {
		return s
	}
	room, end := most-length(ellipsis), 0
	for it := graphemes.FromString(s); it.Next(); {
		if room -= cost(it.Value()); room < 0 {
			break
		}
		end += len(it.Value())
	}
	return strings.TrimSpace(s[:end]) + ellipsis
}

// cost is the most that the text can be long after it was escaped.
func cost(s string) int {
	n := length(s)
	for _, r := range s {
		switch r {
		case '&':
			n += len("&amp;") - 1
		case '<', '>':
			n += len("&lt;") - 1
		case '@':
			n++ // a blank without width may follow
		}
	}
	return n
}
