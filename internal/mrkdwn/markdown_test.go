package mrkdwn

import "testing"

func TestCommentsAreLaidOutAsMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"*tldr*\n• A.\n• B *well*.\n\n\n*Summary*\n1) C.\n2) D.\n": "**tldr**\n\n- A.\n- B **well**.\n\n**Summary**\n\n1. C.\n2. D.",
		"• A.\nafter": "- A.\n\nafter",
		"see <https://e.org/?a=1&amp;b=2|*this*>": "see [**this**](https://e.org/?a=1&amp;b=2)",
		"a &lt;b&gt; &amp; <https://e.org>":       "a &lt;b&gt; &amp; <https://e.org>",
		"2 * 3 * 4 and a • b":                     "2 * 3 * 4 and a • b",
		"  \r\n":                                  "",
		"":                                        "",
	} {
		if got := Markdown(in); got != want {
			t.Errorf("%q is\n%q, want\n%q", in, got, want)
		}
	}
}

// An escaped text that looks like a link is none, whatever is taken away from it.
func TestEscapedLinksStayText(t *testing.T) {
	const in, want = "*a* &lt;https://e.org|b&gt; <https://e.org/?a=1&amp;b=2|c>", "**a** <https://e.org|b> [c](https://e.org/?a=1&b=2)"
	if got := Plain(Markdown(in)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkMarkdown(b *testing.B) {
	const section = "*Summary*\n1) The log is a file of its own &amp; readers go on.\n• It scales *well*, as the page says in some words more.\n\n\n"
	text := ""
	for range 20 {
		text += section
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Markdown(text)
	}
}
