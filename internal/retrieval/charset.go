package retrieval

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// decode turns a body into text. The declared encoding (byte order mark, then header,
// then meta element) is believed unless the bytes contradict it: pages in Latin-1 or
// Shift_JIS that claim UTF-8 are common, and so are UTF-8 pages that claim Latin-1.
func decode(body []byte, declared string) string {
	contentType := ""
	if declared != "" {
		contentType = "text/html; charset=" + declared
	}
	enc, name, certain := charset.DetermineEncoding(body, contentType)
	switch {
	case strings.HasPrefix(name, "utf-16"):
		return decodeAs(enc, body)
	case looksLikeUTF8(body), name == "utf-8" && isASCII(body):
		return cleanUTF8(body)
	case certain && name != "utf-8":
		return decodeAs(enc, body)
	}
	// UTF-8 was claimed, wrongly, or the header claims nothing: a meta element may know.
	// Windows-1252 is what the function answers when it doesn't.
	if enc, name, _ = charset.DetermineEncoding(body, ""); name != "utf-8" && name != "windows-1252" {
		return decodeAs(enc, body)
	}
	for _, enc := range []encoding.Encoding{japanese.ShiftJIS, japanese.EUCJP} {
		if text := decodeAs(enc, body); looksJapanese(text) {
			return text
		}
	}
	return decodeAs(charmap.Windows1252, body) // the web's reading of Latin-1
}

func decodeAs(enc encoding.Encoding, body []byte) string {
	text, err := enc.NewDecoder().Bytes(body)
	if err != nil {
		text = body
	}
	return cleanUTF8(text)
}

func cleanUTF8(text []byte) string {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	return strings.ToValidUTF8(string(text), "\ufffd")
}

func isASCII(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// looksLikeUTF8 reports whether nearly all bytes beyond ASCII form valid sequences, and
// there are some. Text in another encoding hardly ever does; a UTF-8 page with a few damaged
// characters still counts.
func looksLikeUTF8(b []byte) bool {
	valid, damaged := 0, 0
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size == 1:
			damaged++
		case size > 1:
			valid++
		}
		b = b[size:]
	}
	return valid > 5*damaged
}

// looksJapanese reports whether text is free of undecodable characters and holds
// hiragana, without which no Japanese sentence is written.
func looksJapanese(text string) bool {
	hiragana := 0
	for _, r := range text {
		if r == utf8.RuneError {
			return false
		}
		if unicode.Is(unicode.Hiragana, r) {
			hiragana++
		}
	}
	return hiragana >= 5
}
