package analysis

import (
	"strings"
	"unicode"
)

// terms returns the stems of a text's words in order, without the words that say nothing.
func terms(text string) []string {
	var list []string
	for _, w := range words(text) {
		if !stopWords[w] {
			list = append(list, stem(w))
		}
	}
	return list
}

// words returns the lower-case words of a text. What holds a word together is letters and digits.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// stem takes an English plural ending and a final e off, so that index and indexes, cache
// and caches, query and queries meet. The result is for comparing, not for reading.
func stem(w string) string {
	if len(w) <= 3 {
		return w
	}
	if base, ok := strings.CutSuffix(w, "ies"); ok {
		return base + "y"
	}
	if strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") && !strings.HasSuffix(w, "us") && !strings.HasSuffix(w, "is") {
		w = w[:len(w)-1]
	}
	return strings.TrimSuffix(w, "e")
}

// containsPhrase reports whether the stems of a phrase stand side by side in a text's stems.
func containsPhrase(text, phrase []string) bool {
	if len(phrase) == 0 {
		return false
	}
	for i := 0; i+len(phrase) <= len(text); i++ {
		match := true
		for j, p := range phrase {
			if text[i+j] != p {
				match = false
				break
			}
		}
		if match {
			return true
		}
	}
	return false
}

var stopWords = func() map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(`
		a about above after again against all also although always am among an and another any are as at
		back be became because become been before being below between both but by
		can cannot case cases could d did different do does doing done down due during
		each either else even ever every example few first following for from further
		get gets give given gives go goes had has have having he her here hers him his how however
		i if in instead into is it its itself just know known last later least less let like ll long
		made make makes many may me means might more most much must my near need needs never new next no nor not now
		of off often old on once one only onto or other others our out over own per possible put
		rather re s same say says second see seen several shall she should show shown since so some something still such
		t take takes than that the their them then there therefore these they thing things this those though three through thus to together too two
		under until up upon us use used useful uses using usually ve very via want was way ways we well were what when where whether which while who whose why will with within without would
		yes yet you your`) {
		set[w] = true
	}
	return set
}()
