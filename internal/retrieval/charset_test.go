package retrieval

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

func TestEncodings(t *testing.T) {
	const (
		latin    = "Der Flußpegel übertraf die Höhe des Jahres um zwölf Zentimeter."
		dashed   = "The “old” gauge – it’s there still – costs 5 €."
		kana     = "港の水位は一時間ごとにインクで帳面に書かれていました。"
		cyrillic = "Смотритель записывал высоту воды каждый час."
	)
	utf16le := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	utf16be := unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	noBOM := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	for _, tt := range []struct {
		name        string
		text        string
		enc         encoding.Encoding
		contentType string
		meta        string
	}{
		{"UTF-8 declared", latin, encoding.Nop, "text/html; charset=utf-8", ""},
		{"UTF-8 undeclared", latin, encoding.Nop, "text/html", ""},
		{"UTF-8 with byte order mark", latin, unicode.UTF8BOM, "text/html", ""},
		{"UTF-8 declared Latin-1", latin, encoding.Nop, "text/html; charset=iso-8859-1", ""},
		{"Latin-1 declared", latin, charmap.ISO8859_1, "text/html; charset=ISO-8859-1", ""},
		{"Latin-1 declared UTF-8", latin, charmap.ISO8859_1, "text/html; charset=utf-8", ""},
		{"Latin-1 declared UTF-8 twice", latin, charmap.ISO8859_1, "text/html; charset=utf-8", "utf-8"},
		{"Latin-1 undeclared", latin, charmap.ISO8859_1, "text/html", ""},
		{"Windows-1252 in meta", dashed, charmap.Windows1252, "text/html", "windows-1252"},
		{"Windows-1252 called Latin-1", dashed, charmap.Windows1252, "text/html; charset=iso-8859-1", ""},
		{"Windows-1251 in meta, UTF-8 in header", cyrillic, charmap.Windows1251, "text/html; charset=utf-8", "windows-1251"},
		{"KOI8-R", cyrillic, charmap.KOI8R, "text/html; charset=koi8-r", ""},
		{"Shift_JIS declared", kana, japanese.ShiftJIS, "text/html; charset=Shift_JIS", ""},
		{"Shift_JIS in meta", kana, japanese.ShiftJIS, "text/html", "shift_jis"},
		{"Shift_JIS declared UTF-8", kana, japanese.ShiftJIS, "text/html; charset=utf-8", ""},
		{"EUC-JP undeclared", kana, japanese.EUCJP, "text/html", ""},
		{"ISO-2022-JP declared", kana, japanese.ISO2022JP, "text/html; charset=iso-2022-jp", ""},
		{"UTF-16LE with byte order mark", latin, utf16le, "text/html", ""},
		{"UTF-16BE with byte order mark", latin, utf16be, "text/html; charset=utf-8", ""},
		{"UTF-16LE without byte order mark", latin, noBOM, "text/html; charset=utf-16le", ""},
		{"unknown name", latin, encoding.Nop, "text/html; charset=klingon", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := "<!doctype html><html><head>"
			if tt.meta != "" {
				page += `<meta charset="` + tt.meta + `">`
			}
			page += "<title>x</title></head><body><article><p>" + strings.Repeat(tt.text+" ", 20) + "</p></article></body></html>"
			body, err := tt.enc.NewEncoder().String(page)
			if err != nil {
				t.Fatal(err)
			}
			text := textOf(get(t, newTest(t), serveBody(t, tt.contentType, body).URL))
			if !strings.HasPrefix(text, tt.text) || strings.ContainsRune(text, '\ufffd') || strings.ContainsRune(text, '\ufeff') {
				t.Errorf("read as %.80q", text)
			}
		})
	}
}

func TestDamagedCharacterDoesNotChangeTheEncoding(t *testing.T) {
	text := decode([]byte(strings.Repeat("Höhe über Null. ", 10)+"Gr\xfc\xdfe."), "utf-8")
	if !strings.HasPrefix(text, "Höhe über Null.") || !strings.HasSuffix(text, "Gr\ufffde.") {
		t.Errorf("read as %q", text)
	}
}
