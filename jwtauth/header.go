package jwtauth

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// header is what counts of a JOSE header: jku, x5u, x5c and x5t are sent by real
// providers and never looked at.
type header struct {
	algorithm Algorithm
	mediaType string // typ in lower case without "application/", empty when absent
	keyID     string // empty when absent
}

var headerParser = strictjson.NewParser(strictjson.Config{
	Known:     []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty", "jwk"},
	MaxValues: 256,
})

// accepted are the algorithms that are taken, and how others are refused.
type accepted struct {
	algorithms []Algorithm
	refusal    authctx.Error
}

func newAccepted(algorithms []Algorithm) accepted {
	return accepted{algorithms, expected(authctx.InvalidToken, notAccepted, algorithms)}
}

const notAccepted = "alg is none of %v"

func (a *accepted) check(alg Algorithm) error {
	if !slices.Contains(a.algorithms, alg) {
		return &a.refusal
	}
	return nil
}

// parseHeader decodes and judges a header segment.
func parseHeader(segment string, allowed *accepted) (*header, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.decodeHeader(segment); err != nil {
		return nil, err
	}
	// A key that a token brings along proves nothing.
	if s.doc.Get("jwk").Kind() != strictjson.Missing {
		return nil, errHeaderName
	}
	h, err := readHeader(&s.doc, allowed)
	if err != nil {
		return nil, err
	}
	good := h // a refused header takes no memory
	return &good, nil
}

// decodeHeader decodes and parses a header segment, which must ask for no extension.
func (s *scratch) decodeHeader(segment string) (err error) {
	if s.header, err = decodeSegment(s.header, segment); err != nil {
		return err
	}
	if headerParser.Parse(&s.doc, string(s.header)) != nil {
		return errHeaderJSON
	}
	// No extension is understood here, so crit always names an unknown one (RFC
	// 7515 section 4.1.11).
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if s.doc.Get(name).Kind() != strictjson.Missing {
			return errHeaderName
		}
	}
	return nil
}

func readHeader(doc *strictjson.Doc, allowed *accepted) (h header, err error) {
	alg, ok1 := optionalText(doc, "alg")
	typ, ok2 := optionalText(doc, "typ")
	cty, ok3 := optionalText(doc, "cty")
	kid, ok4 := optionalText(doc, "kid")
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4 || doc.Get("typ").Exists() && mediaType(typ) == "":
		return header{}, errHeaderType
	case mediaType(cty) == "jwt": // RFC 7519 section 5.2
		return header{}, errHeaderName
	case doc.Get("kid").Kind() != strictjson.Missing && !validKeyID(kid):
		return header{}, errKeyID
	}
	algorithm := Algorithm(alg).short()
	if err := allowed.check(algorithm); err != nil {
		return header{}, err
	}
	return header{algorithm, mediaType(typ), kid}, nil
}

// optionalText returns a member that is text, empty when absent; false when it
// is something else.
func optionalText(doc *strictjson.Doc, name string) (string, bool) {
	v := doc.Get(name)
	text, ok := v.Text()
	return text, ok || v.Kind() == strictjson.Missing
}

// mediaType gives equal media types one form (RFC 7515 section 4.1.9).
func mediaType(s string) string {
	s = strings.ToLower(s)
	if rest, ok := strings.CutPrefix(s, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return s
}

func validKeyID(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxKeyIDLength
}

// headerCache knows the headers of tokens that were verified. One issuer writes
// few different ones, so that most tokens need no header parser.
type headerCache struct {
	allowed accepted
	known   atomic.Pointer[headerSet]
	mu      sync.Mutex // held to replace known
}

// headerSet maps segments to headers. It never changes.
type headerSet struct {
	all     map[string]*header
	segment string // the one that was remembered last, found without hashing
	header  *header
}

// maxHeaders bounds headerCache.
const maxHeaders = 64

// get returns the header of a segment, nil when it is not known.
func (c *headerCache) get(segment string) *header {
	set := c.known.Load()
	switch {
	case set == nil:
		return nil
	case segment == set.segment:
		return set.header
	}
	return set.all[segment]
}

// remember keeps the header of a token that was verified, and nothing else of
// the token.
func (c *headerCache) remember(segment string, h *header) {
	segment = strings.Clone(segment)
	h = &header{h.algorithm, strings.Clone(h.mediaType), strings.Clone(h.keyID)}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &headerSet{all: map[string]*header{}, segment: segment, header: h}
	if set := c.known.Load(); set != nil && len(set.all) < maxHeaders {
		next.all = maps.Clone(set.all)
	}
	next.all[segment] = h
	c.known.Store(next)
}
