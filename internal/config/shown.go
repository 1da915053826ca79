package config

import (
	"errors"
	"net/url"
	"strings"

	"github.com/technoshare/commentator/internal/redact"
)

// builtIn masks what is shown of settings. The rules of REDACTION_FILE and REDACTION=off are about
// what is recorded and logged: a token in the wrong place is shown in no case.
var builtIn = redact.New(nil)

// hidden stands in place of a value that may hold a password which nothing can find in it.
const hidden = "(not shown: it may hold a password)"

// shown is a value, or a text that quotes some, as people may see it.
func shown(text string) string {
	before, after, address := strings.Cut(text, "://")
	if address && !strings.ContainsAny(before, " \t") && strings.Contains(after, "@") {
		// A / in a password that is not percent-encoded ends the host.
		if u, err := url.Parse(text); err != nil || u.User == nil {
			return hidden
		}
	}
	return builtIn.Text(text)
}

// shownAs is shown for the value of a setting.
func shownAs(name, value string) string {
	for _, kind := range []string{"_URL", "_URI", "_ENDPOINT", "_STORE"} {
		if strings.HasSuffix(name, kind) {
			return shownAddress(value)
		}
	}
	return shown(value)
}

// shownAddress is shown for an address, which may lack its beginning.
func shownAddress(value string) string {
	if strings.Contains(value, "@") && !strings.Contains(value, "://") {
		return hidden
	}
	return shown(value)
}

// maskPairs masks the values of keys that name a secret, and what is no key=value.
func maskPairs(list string) string {
	items := strings.Split(list, ",")
	for i, item := range items {
		key, value, found := strings.Cut(item, "=")
		switch {
		case !found:
			items[i] = mask(item)
		case looksSecret(key):
			items[i] = key + "=" + mask(value)
		}
	}
	return strings.Join(items, ",")
}

// shownWarnings and shownError mask what texts about settings quote.
func shownWarnings(warnings []Warning) []Warning {
	for i := range warnings {
		warnings[i].Message = builtIn.Text(warnings[i].Message)
	}
	return warnings
}

func shownError(err error) error {
	if err == nil {
		return nil
	}
	if text := builtIn.Text(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}
