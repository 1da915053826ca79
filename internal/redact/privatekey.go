package redact

import "strings"

// maxKey is how far the end of a private key is looked for.
const maxKey = 16 << 10

// privateKey masks the body of a private key in PEM, from its BEGIN line to its END line. A
// key may have been cut, its lines may be quoted strings of a program, or it may lie across
// several strings of JSON; then its lines are masked, and what is between them is scanned like
// everything else.
func (sc *scan) privateKey(at int) {
	s := sc.s
	body := pemLine(s, at+len(pemBegin))
	if body < 0 {
		return
	}
	end := -1
	if n := strings.Index(s[body:min(len(s), body+maxKey)], pemEnd); n >= 0 {
		end = pemLine(s, body+n+len(pemEnd))
	}
	if end > 0 && strings.IndexByte(s[body:end], '"') < 0 {
		sc.add(at, end, rulePrivateKey)
		return
	}
	limit, gap := end, maxKey
	if end < 0 {
		limit, gap = len(s), maxGap
	}
	for k := body; ; {
		start, stop := nextLine(s, k, limit, gap)
		if start < 0 {
			return
		}
		sc.note(start, stop, rulePrivateKey)
		k = stop
	}
}

// endOfPrivateKey masks the lines before an END line whose BEGIN was cut off.
func (sc *scan) endOfPrivateKey(at int) {
	if pemLine(sc.s, at+len(pemEnd)) < 0 {
		return
	}
	first := at
	for at-first < maxKey {
		start := lineBefore(sc.s, first)
		if start < 0 {
			break
		}
		first = start
	}
	for k := first; ; {
		start, stop := nextLine(sc.s, k, at, maxGap)
		if start < 0 {
			return
		}
		sc.note(start, stop, rulePrivateKey)
		k = stop
	}
}

const (
	pemBegin = "-----BEGIN"
	pemEnd   = "-----END"
	// maxGap is how much may stand between two lines: an escape, quotes, a plus sign, a comma.
	maxGap = 12
	// minLine is the length of a line of a key; the last one may be shorter.
	minLine = 20
)

// pemLine returns where the line "… PRIVATE KEY-----" ends whose label begins at a place, -1
// when it is another line. In a URL a blank is %20 or +.
func pemLine(s string, at int) int {
	end := at
	for end < len(s) && end-at < 64 {
		if strings.HasPrefix(s[end:], "%20") {
			end += 3
			continue
		}
		if !isUpper(s[end]) && !isDigit(s[end]) && s[end] != ' ' && s[end] != '+' {
			break
		}
		end++
	}
	if end == at || isAlnum(s[at]) {
		return -1
	}
	label := s[at:end]
	if strings.IndexByte(label, '+') >= 0 || strings.IndexByte(label, '%') >= 0 {
		label = blanks.Replace(label)
	}
	if !strings.HasSuffix(label, "PRIVATE KEY") && !strings.HasSuffix(label, "PRIVATE KEY BLOCK") {
		return -1
	}
	for end < len(s) && s[end] == '-' {
		end++
	}
	return end
}

var blanks = strings.NewReplacer("%20", " ", "+", " ")

// putty masks the lines of the private half of a key of PuTTY, behind "Private-Lines:". Their
// number tells which is the last, which may be short.
func (sc *scan) putty(at int) {
	s := sc.s
	at = skipBlank(s, at)
	count := 0
	for ; at < len(s) && isDigit(s[at]) && count < 1000; at++ {
		count = 10*count + int(s[at]-'0')
	}
	limit := min(len(s), at+maxKey)
	for ; count > 0; count-- {
		start := skipLayout(s, at)
		for at = start; at < limit && isBase64(s[at]); at++ {
		}
		if start == at || count > 1 && at-start < minLine {
			return
		}
		sc.note(start, at, rulePrivateKey)
	}
}

func isBase64(c byte) bool { return isAlnum(c) || c == '+' || c == '/' || c == '=' }

// isEncoded reports whether + / or = stand at a place as in a URL.
func isEncoded(s string, at int) bool {
	if s[at] != '%' || len(s) < at+3 {
		return false
	}
	switch s[at+1 : at+3] {
	case "2B", "2b", "2F", "2f", "3D", "3d":
		return true
	}
	return false
}

// nextLine returns the next run of base64 that is long enough for a line of a key and begins
// at most gap bytes away, -1 when there is none.
func nextLine(s string, from, limit, gap int) (start, stop int) {
	for at := from; at < limit && at-from <= gap; {
		if !isBase64(s[at]) {
			at++
			continue
		}
		start = at
		for at < limit && (isBase64(s[at]) || isEncoded(s, at)) {
			at++
		}
		if start = skipEscape(s, start, at); at-start >= minLine {
			return start, at
		}
	}
	return -1, -1
}

// lineBefore returns the beginning of the line of a key that ends before a place, at most
// maxGap bytes away, -1 when there is none.
func lineBefore(s string, end int) int {
	for stop := end; stop > 0 && end-stop <= maxGap; stop-- {
		start := stop
		for start > 0 && isBase64(s[start-1]) {
			start--
		}
		if start = skipEscape(s, start, stop); stop-start >= minLine {
			return start
		}
	}
	return -1
}
