package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseDotenv(t *testing.T) {
	text := "\ufeff# comment\r\n\r\nA=1\r\nexport B=two words # note\nC='it''s'\n"
	if _, _, _, err := parseDotenv(".env", text); err == nil {
		t.Error("text after a closing quote is accepted")
	}
	text = strings.Join([]string{
		"\ufeff# comment\r", "\r", "A=1\r", "export B=two words # note", "C='$HOME # \\n'", `D="a\tb\"c\\ # no" # yes`,
		"E=", "F= ", "G=a=b#c", "  H=indented", `I="quoted $5 \q"`, "J= # nothing", "K=a\t# note", "L=\t#nothing",
	}, "\n")
	got, _, warnings, err := parseDotenv(".env", text)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("parseDotenv() = %v, %v", warnings, err)
	}
	want := map[string]string{
		"A": "1", "B": "two words", "C": `$HOME # \n`, "D": "a\tb\"c\\ # no", "E": "", "F": "", "G": "a=b#c", "H": "indented",
		"I": `quoted $5 \q`, "J": "", "K": "a", "L": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestDotenvErrorsNameFileLineAndRemedy(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"spaces", "A=1\nDB_PATH = ./x.sqlite\n", ".env:2: DB_PATH has spaces around =; write DB_PATH=./x.sqlite"},
		{"space after", "DB_PATH= x\n", ".env:1: DB_PATH has spaces around =; write DB_PATH=x"},
		{"space before, quoted", "NAME =two words\n", `.env:1: NAME has spaces around =; write NAME="two words"`},
		{"space before, $", "NAME =pa$word\n", `.env:1: NAME has spaces around =; write NAME='pa$word'`},
		{"a secret", "SLACK_BOT_TOKEN = xoxb-1\n", ".env:1: SLACK_BOT_TOKEN has spaces around =; write SLACK_BOT_TOKEN=…"},
		{"no =", "\nDB_PATH\n", ".env:2: this line has no =; write KEY=value, or # before a comment"},
		{"name", "1A=2\n", `.env:1: "1A" is no name for a setting; use letters, digits and _, and no digit first`},
		{"open quote", "A=\"b\n", `.env:1: A: the value begins with " but the line does not close it; a value is one line`},
		{"after the quote", "A='b'c\n", `.env:1: A: there is text after the closing quote; remove it or put it inside the quotes`},
		{"a comment that is none", "A=# nothing\n", ".env:1: A: this is no comment, since no space is before the #; put one there, or quotes around a value that is meant so"},
		{"all of them", "A = 1\nB\n", ".env:1: A has spaces around =; write A=1\n.env:2: this line has no =; write KEY=value, or # before a comment"},
		{"not text", "A=\xff\n", "read settings file .env: it is not UTF-8 text; save it as UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, err := parseDotenv(".env", tt.text)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error = %v\nwant    %s", err, tt.want)
			}
		})
	}
}

// Old files were read by python-dotenv or a shell, which both take it so.
func TestASharpRightBehindTheSignOfEqualityBelongsToTheValue(t *testing.T) {
	got, _, warnings, err := parseDotenv(".env", "A=#general\nB=#hush # the token\nC='#x'\nD=\"# x\"\nE=#\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "#general", "B": "#hush", "C": "#x", "D": "# x", "E": "#"}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	const odd = " begins with #, which belongs to the value here; put it in quotes if it is meant so, or a space before a comment"
	var texts []string
	for _, w := range warnings {
		texts = append(texts, w.String())
	}
	if diff := cmp.Diff([]string{".env:1: A" + odd, ".env:2: B" + odd, ".env:5: E" + odd}, texts); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestOfRepeatedKeysTheLastWins(t *testing.T) {
	got, _, warnings, err := parseDotenv(".env", "A=1\nB=2\nA=3\n")
	if err != nil || got["A"] != "3" {
		t.Fatalf("A = %q, %v", got["A"], err)
	}
	want := ".env:3: A is already set in line 1; the last one wins, remove the other"
	if len(warnings) != 1 || warnings[0].String() != want {
		t.Errorf("warnings = %v, want %s", warnings, want)
	}
}

func TestALineThatCannotBeReadTakesNoOtherWithIt(t *testing.T) {
	cfg, _, err := load(t, nil, "MODEL_STAGE_A=a\nno sign of equality\nMODEL_STAGE_B=b\nCOMMENTATOR_PROFILE=gone\nMAX_LINKS_PER_MESSAGE=0\n")
	if cfg.ModelA != "a" || cfg.ModelB != "b" || cfg.DBPath != "./db.sqlite" || !cfg.IsSet("MODEL_STAGE_B") {
		t.Errorf("got %+v", cfg)
	}
	for _, want := range []string{".env:2: this line has no =", "there is no file", "MAX_LINKS_PER_MESSAGE: 0 would ignore"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// `echo NAME=value >> .env` where the file does not end with a line break.
func TestALineThatIsLostAtTheEndOfAnotherIsWarnedAbout(t *testing.T) {
	const kill = "MLFLOW_ENABLE_TRACKING=false"
	for text, want := range map[string]string{
		"A=1\n# the end" + kill:                     "MLFLOW_ENABLE_TRACKING",
		"A=1\n# ====" + kill:                        "MLFLOW_ENABLE_TRACKING",
		"A=1\n# the endexport " + kill:              "MLFLOW_ENABLE_TRACKING",
		"A=1\nSLACK_BOT_TOKEN=xoxb-hush" + kill:     "MLFLOW_ENABLE_TRACKING",
		"A=1\nSLACK_BOT_TOKEN=" + kill:              "MLFLOW_ENABLE_TRACKING",
		"A=1\nB=two words " + kill + "\n":           "MLFLOW_ENABLE_TRACKING",
		"A=1\nB=2 # note" + kill + "\r\n":           "MLFLOW_ENABLE_TRACKING",
		"A=1\nB='2' # note" + kill:                  "MLFLOW_ENABLE_TRACKING",
		"A=1\nB='2'" + kill:                         "MLFLOW_ENABLE_TRACKING",
		"A=1\nB=2EVAL_DB_PATH=x":                    "EVAL_DB_PATH",
		"A=1\nB=2OTELCOL_GRPC_ENDPOINT=127.0.0.1:1": "OTELCOL_GRPC_ENDPOINT",

		"A=1\n#" + kill:         "",
		"A=1\n# " + kill:        "",
		"A=1\n# export " + kill: "",
		"A=1\n# as in `" + kill + "`, or (" + kill + ")":    "",
		"A=1\n#POSTGRES_DATABASE_URL=x":                     "",
		"A=1\nB='x" + kill + "'":                            "",
		"A=1\nB=http://h/?DB_PATH=x&LOG_FILE=y":             "",
		"A=1\nB=2 # not " + kill:                            "",
		"A=1\n" + kill:                                      "",
		"A=1\n# the endFAVOURITE_COLOUR=red, or DB_PATH ==": "",
	} {
		_, _, warnings, _ := parseDotenv(".env", text)
		var got string
		for _, w := range warnings {
			if w.Message != ".env:2: a line break seems to be missing before "+w.Key+", which has no effect there; put it on a line of its own" {
				t.Errorf("%q: %s", text, w)
			}
			got = w.Key
		}
		if got != want {
			t.Errorf("%q: warned of %q, want %q", text, got, want)
		}
	}
}

func TestAMissingFileIsEmpty(t *testing.T) {
	got, warnings, err := Dotenv(t.TempDir() + "/.env")
	if len(got) > 0 || len(warnings) > 0 || err != nil {
		t.Errorf("Dotenv() = %v, %v, %v", got, warnings, err)
	}
}

// The line that an error recommends is read as the value that was meant.
func TestCorrectedLinesAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[a-zA-Z0-9 "'#\\$\t,;:/-]{0,20}`).Draw(t, "value")
		key, got, _, err := parseLine(corrected("NAME", value))
		if err != nil || key != "NAME" || got != value {
			t.Fatalf("corrected line %q reads as %q, %v; want %q", corrected("NAME", value), got, err, value)
		}
	})
}

func TestParsingNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, _, _ = parseDotenv(".env", rapid.String().Draw(t, "text"))
	})
}
