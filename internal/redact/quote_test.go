package redact

import (
	"encoding/json"
	"strings"
	"testing"
)

// A quoted secret is masked up to the quote that closes it, in every layer of JSON: doubled quotes and
// the escapes of line ends and tabs are a part of it.
func TestQuotedSecretsAreMaskedToTheirEnd(t *testing.T) {
	r := New(nil)
	for in, want := range map[string]string{
		`password="ab""S3cret99" x`:                       `password="[redacted:password]" x`,
		`password="ab""""S3cret99"`:                       `password="[redacted:password]"`,
		`PASSWORD='ab''S3cret99' x`:                       `PASSWORD='[redacted:password]' x`,
		`1,"password=""S3cret99"" x"`:                     `1,"password=""[redacted:password]"" x"`,
		`1,"{""password"":""S3cret99"",""a"":1}",2`:       `1,"{""password"":""[redacted:password]"",""a"":1}",2`,
		`1,"{""token"":12345678901299,""password"":"""}"`: `1,"{""token"":""[redacted:token]"",""password"":"""}"`,
		`{"password":"abcd\nS3cret99"}`:                   `{"password":"[redacted:password]"}`,
		`{"password":"abcd\r\n\tS3cret99","a":1}`:         `{"password":"[redacted:password]","a":1}`,
		`{"password":"C:\\new\\S3cret99"}`:                `{"password":"[redacted:password]"}`,
		`DB_PASS="abcd\nS3cret99" x`:                      `DB_PASS="[redacted:password]" x`,
		`DB_PASS='abcd\nS3cret99' x`:                      `DB_PASS='[redacted:password]' x`,
		`password = """S3cret99""" # x`:                   `password = """[redacted:password]""" # x`,
		`password='''S3cret99'''`:                         `password='''[redacted:password]'''`,
		`PASSWORD: """it's "S3cret99", \n too"""`:         `PASSWORD: """[redacted:password]"""`,
		"token = '''abcd\nS3cret99'''\nx":                 "token = '''[redacted:token]'''\nx",
		`{"Cookie":["a=b\nS3cret99"]}`:                    `{"Cookie":["[redacted:cookie]"]}`,
		`{"Authorization":"Bearer abcdef\nS3cret99"}`:     `{"Authorization":"Bearer [redacted:authorization]"}`,
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
		for range 2 {
			b, err := json.Marshal([]string{in})
			if err != nil {
				t.Fatal(err)
			}
			in = string(b)
			if got := r.Text(in); strings.Contains(got, "S3cret") || !json.Valid([]byte(got)) {
				t.Errorf("%s became %s", in, got)
			}
		}
	}
}

// Quotes that stand together are not always one in a value, and a line may end before the quote.
func TestQuotesThatEndAValue(t *testing.T) {
	r := New(nil)
	for _, same := range []string{
		`password="" user="x"`, `f("password=", "", "x")`, `password="", a="b""c"`, `x="" password=""`,
		`q='password=''' || pw || ''''`, `"password","ab""cd"`, `["user","password","email"]`, `{"password":"","":"x"}`,
		`password="""""" x="abcd"`, `password=""" + pw + """`, `{"a":"password=\"\"\"hunter22","b":"\"\"\""}`, `{"a":"password='''hunter22","b":"'''"}`,
	} {
		if got := r.Text(same); got != same {
			t.Errorf("%s became %s", same, got)
		}
	}
	for in, want := range map[string]string{
		`say "password="hunter2"" and "x"`:                       `say "password="[redacted:password]"" and "x"`,
		`{"t":"password: 'hunter22\nnext line' x"}`:              `{"t":"password: '[redacted:password]\nnext line' x"}`,
		`{"t":"password='hunter22\nit's"}`:                       `{"t":"password='[redacted:password]\nit's"}`,
		`"{\"a\":\"b\",\"t\":\"password=\\\"hunter22\\nnext\"}"`: `"{\"a\":\"b\",\"t\":\"password=\\\"[redacted:password]\\nnext\"}"`,
		`{"t":"password=\"hunter22\nnext line"}`:                 `{"t":"password=\"[redacted:password]\nnext line"}`,
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

// What a quote opens is read up to the next one of its kind, so that a page of many is read a few
// times and not once for each.
func TestQuotedValuesDoNotOverlap(t *testing.T) {
	for _, piece := range []string{
		`pass=""a`, `pass="a""b`, `pass=\"\"a`, `pass="a\n`, `pass="""a`, `pass=\"\"\"a`, `pass='''a`, `pass='''a'''`, `pass=\"a\\n`, `pass='a\n`, `pass='a''b`, `pass='"+ a''b`, `pass=""a pass=\"\"a pass=\\\"\\\"a`, "pass=`a\\n",
	} {
		s := strings.Repeat(piece, 1000)
		read := 0
		for at := range len(s) - len("pass=") {
			if !strings.HasPrefix(s[at:], "pass=") {
				continue
			}
			start, q := openQuote(s, at+len("pass="))
			if start, q = q.openTripled(s, start); q.until == 0 {
				start, q = q.openDoubled(s, start)
			}
			read += valueEnd(s, start, q) - start
		}
		if read > 4*len(s) {
			t.Errorf("%s: %d bytes read in a text of %d", piece, read, len(s))
		}
	}
}
