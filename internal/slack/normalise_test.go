package slack

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLinkKeyIgnoresWhatDoesNotTellPagesApart(t *testing.T) {
	same := []struct {
		key   string
		links []string
	}{
		{"a.example", []string{"https://a.example", "http://A.example/", "https://www.a.example:443", "https://a.example./", "https://a.example/#top", "https://user:pass@a.example/"}},
		{"a.example/x", []string{"https://a.example/x", "https://a.example/x/", "https://a.example//x", "https://a.example/y/../x", "https://a.example/%78", "https://a.example/x?utm_source=a&UTM_Medium=b&fbclid=c", "https://a.example/x?"}},
		{"a.example/x?a=1&b=2", []string{"https://a.example/x?a=1&b=2", "https://a.example/x?b=2&a=1", "https://a.example/x?b=2&gclid=z&a=1", "https://a.example/x?a=%31&b=2#:~:text=word"}},
		{"youtube.com/watch?v=1", []string{"https://www.youtube.com/watch?v=1&si=abc"}},
		{"x.com/a/status/1", []string{"https://x.com/a/status/1?s=20&t=zz"}},
		{"xn--bcher-kva.example", []string{"https://bücher.example", "https://xn--bcher-kva.example/"}},
		{"[::1]:8080/x", []string{"http://[::1]:8080/x"}},
		{"a.example#/route", []string{"https://a.example/#/route"}},
		{"www.com", []string{"https://www.com/"}},
		{"not a link", []string{"not a link", " not a link "}},
	}
	keys := map[string]bool{}
	for _, tt := range same {
		for _, link := range tt.links {
			if got := LinkKey(link); got != tt.key {
				t.Errorf("LinkKey(%s) = %s, want %s", link, got, tt.key)
			}
		}
		if keys[tt.key] {
			t.Errorf("%s is there twice", tt.key)
		}
		keys[tt.key] = true
	}
}

func TestLinkKeyKeepsWhatTellsPagesApart(t *testing.T) {
	for _, pair := range [][2]string{
		{"https://a.example/x", "https://a.example/X"},
		{"https://a.example/x", "https://b.example/x"},
		{"https://a.example/x?id=1", "https://a.example/x?id=2"},
		{"https://a.example/x?ref=main", "https://a.example/x"},
		{"https://a.example:8080/x", "https://a.example/x"},
		{"https://a.example/x?a=1&a=2", "https://a.example/x?a=2&a=1"},
		{"https://a.example/#!/x", "https://a.example/#!/y"},
		{"https://a.example/watch?si=1", "https://a.example/watch?si=2"},
	} {
		if LinkKey(pair[0]) == LinkKey(pair[1]) {
			t.Errorf("%s and %s have one key", pair[0], pair[1])
		}
	}
}

// genLink draws links of all shapes that people share.
func genLink() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		link := rapid.SampledFrom([]string{"http://", "https://", "HTTPS://"}).Draw(t, "scheme")
		link += rapid.StringMatching(`(www\.)?[a-zA-Z]{1,8}(\.[a-z]{2,5}){1,2}(:(80|443|8080))?`).Draw(t, "host")
		link += rapid.StringMatching(`(/[a-zA-Z0-9._~%-]{0,8}){0,4}`).Draw(t, "path")
		if rapid.Bool().Draw(t, "query?") {
			link += "?" + rapid.StringMatching(`([a-z_]{1,5}(=[a-zA-Z0-9%2F+]{0,5})?&?){0,4}`).Draw(t, "query")
		}
		return link + rapid.SampledFrom([]string{"", "#top", "#/a", "#!b"}).Draw(t, "fragment")
	})
}

func TestAKeyIsItsOwnKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		link := genLink().Draw(t, "link")
		key := LinkKey(link)
		if _, err := url.Parse(link); err != nil {
			t.Skip("no link")
		}
		if again := LinkKey("https://" + key); again != key {
			t.Fatalf("the key of %s is %s, and its own is %s", link, key, again)
		}
	})
}

func TestTrackersAndTheOrderOfTheQueryNeverMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,4}[0-9]`), 0, 4, rapid.ID[string]).Draw(t, "names")
		plain, tracked := []string{}, []string{}
		for _, name := range names {
			plain = append(plain, name+"=1")
		}
		tracked = append(tracked, plain...)
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"utm_source", "utm_anything", "fbclid", "GCLID"}), 0, 3).Draw(t, "trackers") {
			tracked = append(tracked, name+"="+rapid.StringMatching(`[a-z0-9]{0,6}`).Draw(t, "value"))
		}
		tracked = rapid.Permutation(tracked).Draw(t, "order")
		a, b := "https://a.example/x?"+strings.Join(plain, "&"), "http://www.a.example/x/?"+strings.Join(tracked, "&")
		if LinkKey(a) != LinkKey(b) {
			t.Fatalf("%s and %s have keys %s and %s", a, b, LinkKey(a), LinkKey(b))
		}
	})
}

func TestNoTextMakesLinkKeyPanic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { LinkKey(rapid.String().Draw(t, "text")) })
}

// Slack marks links up as <url|label>, with entities. Whatever a link is, it is found in that
// form with the key that it has.
func TestMarkedUpLinksHaveTheKeysOfTheLinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		link := genLink().Draw(t, "link")
		label := rapid.StringMatching(`[a-z .]{0,10}`).Draw(t, "label")
		text := "see <" + inMarkup.Replace(link)
		if label != "" {
			text += "|" + label
		}
		got := Links(text+">, please", 3)
		if len(got) != 1 || LinkKey(got[0]) != LinkKey(link) {
			t.Fatalf("links of %q are %q, want %s", text, got, link)
		}
	})
}
