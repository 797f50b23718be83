package jwtauth

import (
	"encoding/base64"
	"slices"
	"strings"
	"sync"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// compact is a token cut into the three segments of a JWS in compact
// serialization (RFC 7515 section 3.1). Nothing of it is decoded.
type compact struct {
	token         string
	first, second int // where the dots are
}

// cut finds the segments without allocating, whatever the token is made of. It
// refuses JWEs, JSON serializations and what cannot begin with "{".
func cut(token string, maxBytes int) (compact, error) {
	if len(token) > maxBytes {
		return compact{}, errTooLong
	}
	if !beginsObject(token) {
		return compact{}, errNotCompact
	}
	first := strings.IndexByte(token, '.')
	if first < 0 {
		return compact{}, errNotCompact
	}
	second := first + 1 + strings.IndexByte(token[first+1:], '.')
	if second <= first || second+1 >= len(token) || strings.IndexByte(token[second+1:], '.') >= 0 {
		return compact{}, errNotCompact
	}
	return compact{token, first, second}, nil
}

// beginsObject reports whether s may be the base64url of something that begins
// with "{". Such text begins with "e" and one of the last 16 digits.
func beginsObject(s string) bool {
	return len(s) > 1 && s[0] == 'e' &&
		('w' <= s[1] && s[1] <= 'z' || '0' <= s[1] && s[1] <= '9' || s[1] == '-' || s[1] == '_')
}

func (c compact) header() string       { return c.token[:c.first] }
func (c compact) payload() string      { return c.token[c.first+1 : c.second] }
func (c compact) signature() string    { return c.token[c.second+1:] }
func (c compact) signingInput() string { return c.token[:c.second] }

// scratch is the memory that one verification needs and leaves behind.
type scratch struct {
	header, payload, signature []byte
	doc                        strictjson.Doc
	parsed                     *strictjson.Parser // by which doc holds the claims; nil while it does not
	lists                      []string           // empty, with room for the lists of most tokens
	listBytes                  int                // what the caller's lists take
}

var scratches = sync.Pool{New: func() any { return &scratch{lists: make([]string, 0, 64)} }}

func (s *scratch) release() {
	s.doc.Clear()
	clear(s.signature) // without it, what is left is no token
	clear(s.lists)
	s.lists = s.lists[:0]
	s.parsed = nil
	scratches.Put(s)
}

// decode decodes payload and signature. It looks into neither.
func (s *scratch) decode(c compact) (err error) {
	if s.payload, err = decodeSegment(s.payload, c.payload()); err != nil {
		return err
	}
	s.signature, err = decodeSegment(s.signature, c.signature())
	return err
}

// strictBase64 refuses padding and trailing bits that are not zero.
var strictBase64 = base64.RawURLEncoding.Strict()

// decodeSegment decodes one segment into buf or a longer slice.
func decodeSegment(buf []byte, segment string) ([]byte, error) {
	if n := strictBase64.DecodedLen(len(segment)); cap(buf) < n {
		buf = make([]byte, n)
	}
	n, err := strictBase64.Decode(buf[:cap(buf)], []byte(segment))
	// The decoder skips line breaks; a token has none (RFC 8725bis section 3.14),
	// and so as many characters as what they stand for is written with.
	if err != nil || strictBase64.EncodedLen(n) != len(segment) {
		return buf, errBase64
	}
	return buf[:n], nil
}

// parseClaims parses the decoded payload. If another parser did that already, it
// sees to the names that this one knows besides.
func (s *scratch) parseClaims(parser *strictjson.Parser) error {
	var err error
	switch s.parsed {
	case parser:
		return nil
	case nil:
		err = parser.Parse(&s.doc, string(s.payload))
	default:
		err = parser.Check(&s.doc)
	}
	if err != nil {
		return &authctx.Error{Reason: authctx.InvalidToken, Cause: claimsJSONError{err}}
	}
	s.parsed = parser
	return nil
}

// claimsJSONError tells the operator what strict JSON has against claims. It
// holds nothing of them, and makes its text when it is asked for.
type claimsJSONError struct{ problem error }

func (e claimsJSONError) Error() string { return "jwtauth: token claims are not " + e.problem.Error() }

// claimsParser returns a parser that lets no other spelling pass for a claim
// that this package decides by, nor for one of the given names.
func claimsParser(names []string) *strictjson.Parser {
	return strictjson.NewParser(strictjson.Config{MaxBytes: mostMaxTokenBytes, Known: slices.Concat(decidingClaims[:], names)})
}

// decidingClaims are those that this package decides by, whatever it maps.
var decidingClaims = [...]string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "tid", "at_hash", "c_hash", "s_hash", "nonce", "events",
}
