package redact

import (
	"cmp"
	"math/bits"
	"regexp"
	"strings"
)

// rule finds one kind of secret by literals that its matches begin with.
type rule struct {
	name     string
	literals []string
	fold     bool // ASCII letters of the literals in either case
	// inside: a match may begin in the middle of a word.
	inside bool
	// by is the byte of the literals that they are looked for by, with the one behind it; 0:
	// their rarest.
	by byte
	// back is how many bytes before the literal a match begins.
	back int
	// pattern is tried at the beginning of a literal only. Its first group, if it has one, is
	// what is masked. nil: what kind says is done.
	pattern *regexp.Regexp
	kind    kind
	// free is the pattern of a rule without literals, tried everywhere.
	free *regexp.Regexp
	// own: it is of a file, so that it finds what it finds in spite of the others, and they of it.
	own bool
}

// kind is a rule that needs more than a pattern.
type kind int

const (
	kindBearer kind = iota + 1
	kindBasic
	kindKeyBegin
	kindKeyEnd
	kindOpenAI
	kindWebhook
	kindSlackService
	kindAt
	kindEqual
	kindWideColon
	kindTag
	kindPuTTY
	kindCurlUser
)

// named reports whether a name or word in front of a finding says what it is.
func (k kind) named() bool {
	switch k {
	case kindEqual, kindWideColon, kindTag, kindBearer, kindBasic:
		return true
	}
	return false
}

// probe is a literal as the scan looks for it: by its rarest byte and the one before it, or
// behind it when it is the first.
type probe struct {
	literal string
	offset  int // of the rarest byte
	rule    *rule
}

// Actions that a byte may ask for.
const (
	actBefore  = 1 << iota // with the byte before it, it is a part of some literal
	actBehind              // likewise with the byte behind it
	actAt                  // @
	actEqual               // =
	actColon               // :
	actID                  // U or W: perhaps a Slack id
	actPercent             // %
	actTag                 // >
)

// pairs finds the probes of two neighbouring bytes: an index into table.probes, 0 for none.
type pairs [1 << 16]uint16

func pairOf(first, second byte) uint16 { return uint16(first)<<8 | uint16(second) }

// table says what to do at which byte.
type table struct {
	action [256]uint8
	before pairs
	behind pairs
	// is says which pairs are in before or behind: most are in none, and this is small enough
	// to stay in the processor's cache.
	is     [1 << 10]uint64
	probes [][]probe
	free   []*rule
	names  []string // of all rules
	masks  []string // of these
	index  map[string]int
	own    *table // of the file's rules with literals alone; nil: there are none
}

func newTable(rules []*rule) *table {
	t := &table{probes: [][]probe{nil}, index: map[string]int{}}
	for c, act := range map[byte]uint8{'@': actAt, '=': actEqual, ':': actColon, 'U': actID, 'W': actID, '%': actPercent, '>': actTag} {
		t.action[c] |= act
	}
	for _, name := range codeRules {
		t.name(name)
	}
	for _, r := range rules {
		t.name(r.name)
		if r.free != nil {
			t.free = append(t.free, r)
		}
		for _, literal := range r.literals {
			t.add(literal, r)
		}
	}
	return t
}

func (t *table) name(name string) {
	if _, known := t.index[name]; !known {
		t.index[name] = len(t.names)
		t.names = append(t.names, name)
		t.masks = append(t.masks, maskBegin+name+"]")
	}
}

func (t *table) add(literal string, r *rule) {
	offset := 0
	for i := 1; i < len(literal); i++ {
		if rarity(literal[i], r.fold) > rarity(literal[offset], r.fold) {
			offset = i
		}
	}
	if r.by != 0 {
		offset = strings.IndexByte(literal, r.by)
	}
	table, act, first := &t.before, uint8(actBefore), offset-1
	behind := offset == 0 || r.by != 0 && offset+1 < len(literal)
	if behind {
		table, act, first = &t.behind, actBehind, offset
	}
	for _, a := range cases(literal[first], r.fold) {
		for _, b := range cases(literal[first+1], r.fold) {
			rarest := b
			if behind {
				rarest = a
			}
			t.action[rarest] |= act
			n := &table[pairOf(a, b)]
			t.is[pairOf(a, b)>>6] |= 1 << (pairOf(a, b) & 63)
			if *n == 0 {
				*n = uint16(len(t.probes))
				t.probes = append(t.probes, nil)
			}
			t.probes[*n] = append(t.probes[*n], probe{literal, offset, r})
		}
	}
}

// maxLiterals bounds the literals of a file: each makes the scan stop at more places.
const maxLiterals = 200

func cases(c byte, fold bool) []byte {
	if fold && c|0x20 >= 'a' && c|0x20 <= 'z' {
		return []byte{c | 0x20, c &^ 0x20}
	}
	return []byte{c}
}

// byFrequency holds bytes of English prose, JSON and code, the most frequent first.
const byFrequency = " etaoinsrhldcumfpgwyb,.\"/vk'()0123456789TSAICMPWBEDRNFHLGOYUjxqzVKJQXZ-_:=%@"

// rarity is greater the less frequent a byte is.
func rarity(c byte, fold bool) int {
	if fold {
		c |= 0x20
	}
	if n := strings.IndexByte(byFrequency, c); n >= 0 {
		return n
	}
	return len(byFrequency)
}

// scan is one pass over a text.
type scan struct {
	r     *Redactor
	s     string
	done  int // s[:done] is settled
	found []Finding
	// noted are findings that lie ahead of the scan or behind it, see note.
	noted []Finding
	// matched is up to where a rule has matched that notes what it finds.
	matched map[*rule]int
	// inner: the text is a value, of which only the beginning counts. What stands behind a name in it
	// is not looked at: a text of many names would be read to its end for each.
	inner bool
}

func (sc *scan) run() {
	t, s := sc.r.table, sc.s
	a := &t.action
	i := 0
	for i+8 <= len(s) {
		// Eight bytes of which none asks for anything are the rule; a branch for each would cost
		// three times as much, also where one of them does.
		q := s[i : i+8]
		if a[q[0]]|a[q[1]]|a[q[2]]|a[q[3]]|a[q[4]]|a[q[5]]|a[q[6]]|a[q[7]] == 0 {
			i += 8
			continue
		}
		acts := uint64(a[q[0]]) | uint64(a[q[1]])<<8 | uint64(a[q[2]])<<16 | uint64(a[q[3]])<<24 |
			uint64(a[q[4]])<<32 | uint64(a[q[5]])<<40 | uint64(a[q[6]])<<48 | uint64(a[q[7]])<<56
		for acts != 0 {
			n := bits.TrailingZeros64(acts) / 8
			if i+n >= sc.done {
				sc.at(t, i+n)
			}
			acts &^= 0xff << (8 * n)
		}
		i = max(i+8, sc.done)
	}
	for ; i < len(s); i++ {
		if a[s[i]] != 0 && i >= sc.done {
			sc.at(t, i)
		}
	}
	if t.own != nil {
		sc.within(t.own)
	}
	for _, r := range t.free {
		sc.everywhere(r)
	}
	if len(sc.noted) > 0 {
		sc.found = sc.merged()
	}
}

// at does what the byte at a place asks for.
func (sc *scan) at(t *table, i int) {
	if sc.literal(t, i) {
		return
	}
	switch act := t.action[sc.s[i]]; {
	case act&actEqual != 0:
		sc.assignment(i, i+1)
	case act&actColon != 0:
		sc.colon(i)
	case act&actAt != 0:
		sc.userInfoBefore(i)
		sc.email(i, i+1)
	case act&actID != 0:
		sc.person(i)
	case act&actPercent != 0:
		sc.percent(i)
	case act&actTag != 0:
		sc.tag(i, i+1)
	}
}

// literal tries the literals whose rarest byte is the one at a place, and reports whether
// one of them led to a finding there.
func (sc *scan) literal(t *table, i int) bool {
	s := sc.s
	act := t.action[s[i]]
	if act&actBefore != 0 && i > 0 {
		if p := pairOf(s[i-1], s[i]); t.is[p>>6]&(1<<(p&63)) != 0 {
			if n := t.before[p]; n != 0 && sc.try(t.probes[n], i) {
				return true
			}
		}
	}
	if act&actBehind != 0 && i+1 < len(s) {
		if p := pairOf(s[i], s[i+1]); t.is[p>>6]&(1<<(p&63)) != 0 {
			if n := t.behind[p]; n != 0 && sc.try(t.probes[n], i) {
				return true
			}
		}
	}
	return false
}

func (sc *scan) try(probes []probe, i int) bool {
	for _, p := range probes {
		at := i - p.offset - p.rule.back
		if at < 0 || at < sc.done && !p.rule.own || !begins(sc.s[at+p.rule.back:], p.literal, p.rule.fold) || !p.rule.inside && !sc.atWord(at) {
			continue
		}
		if p.rule.back > 0 && skipEscape(sc.s, at, at+p.rule.back) > at || sc.inner && p.rule.kind.named() {
			continue
		}
		switch p.rule.kind {
		case kindBearer:
			sc.bearer(at)
		case kindBasic:
			sc.basic(at)
		case kindKeyBegin:
			sc.privateKey(at)
		case kindKeyEnd:
			sc.endOfPrivateKey(at)
		case kindOpenAI:
			sc.openAI(at)
		case kindWebhook:
			sc.webhook(at)
		case kindSlackService:
			sc.slackService(at + 1)
		case kindAt:
			sc.email(sc.escapeStart(at), at+len(p.literal))
		case kindEqual:
			sc.assignment(sc.escapeStart(at), at+len(p.literal))
		case kindWideColon:
			if at > 0 && mayEndName[sc.s[at-1]] {
				sc.assigned(at, at+len(p.literal), false)
			}
		case kindTag:
			sc.tag(sc.escapeStart(at), at+len(p.literal))
		case kindPuTTY:
			sc.putty(at + len(p.literal))
		case kindCurlUser:
			sc.curlUser(at + len(p.literal))
		default:
			sc.match(at, p.rule)
		}
		if i < sc.done {
			return true
		}
	}
	return false
}

// add notes a finding, unless it is allowed or overlaps with one before.
func (sc *scan) add(start, end int, name string) {
	sc.addAs(start, end, name, "")
}

// addAs is add with another mask than the rule's own, unless it is empty.
func (sc *scan) addAs(start, end int, name, mask string) {
	if start < sc.done || end <= start || isMask(sc.s[start:end]) || sc.allowed(name, sc.s[start:end]) {
		return
	}
	if sc.found == nil {
		sc.found = make([]Finding, 0, 8)
	}
	sc.found = append(sc.found, sc.finding(start, end, name, mask))
	sc.done = end
}

func (sc *scan) finding(start, end int, name, mask string) Finding {
	t := sc.r.table
	id := t.index[name]
	return Finding{start, end, name, id, cmp.Or(mask, t.masks[id])}
}

// allowed reports whether a finding is to be left as it is.
func (sc *scan) allowed(name, found string) bool {
	for _, a := range sc.r.allow {
		if a.fits(name, found) {
			return true
		}
	}
	return false
}

func begins(s, literal string, fold bool) bool {
	if len(s) < len(literal) {
		return false
	}
	if !fold {
		return s[:len(literal)] == literal
	}
	for i := range len(literal) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != literal[i] {
			return false
		}
	}
	return true
}
