package jwtauth

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/grammar"
)

// lines returns the values of a field that must not occur twice (RFC 9110
// section 5.3), so that an empty one beside another counts. Alone it is an
// absent field.
func lines(r *authctx.Request, name string) []string {
	if r == nil || r.Fields == nil {
		return nil
	}
	values := r.Fields.Values(name)
	if len(values) == 1 && values[0] == "" {
		return nil
	}
	return values
}

// oneToken returns the token that a field with these values holds, after a
// scheme unless that is empty.
func oneToken(values []string, scheme string, shape TokenShape) (string, error) {
	switch len(values) {
	case 0:
		return "", authctx.NoCredentials
	case 1:
	default:
		return "", errTwoTokens
	}
	token := values[0]
	if scheme != "" {
		var err error
		if token, err = cutScheme(token, scheme); err != nil {
			return "", err
		}
	}
	if token == "" {
		return "", errNoToken
	}
	switch spaced := hasSpaceOrControl(token); {
	case spaced && strings.Contains(token, ","):
		return "", errJoinedFields
	case spaced:
		return "", errSpaceInToken
	}
	if shape != AnyShape && looksSigned(token) != (shape == JWTShape) {
		return "", errOtherShape
	}
	return token, nil
}

// presents reports whether what oneToken said is about a token of the shape that
// it was asked for, good or bad.
func presents(err error) bool {
	return err != errOtherShape && !errors.Is(err, authctx.NoCredentials)
}

var errOtherShape = &authctx.Error{
	Reason: authctx.InvalidToken, NotMine: true, Cause: errors.New("jwtauth: tokens of this shape are not taken here"),
}

// opensWebSocket reports whether r is a WebSocket handshake (RFC 6455 section
// 4.1).
func opensWebSocket(r *authctx.Request) bool {
	upgrade := r.Values("upgrade")
	return r.Method == "GET" && len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

var (
	errTwoTokens    = refusal(authctx.InvalidRequest, "two tokens in one request")
	errNoToken      = malformedField("there is no token in it")
	errSpaceInToken = malformedField("there is a space or a control character in the token, perhaps after a scheme too many")
	errNoScheme     = malformedField("it does not begin with a scheme and a space")
	errJoinedFields = malformedField("there are several credentials in it, with a comma between them")
)

// malformedField tells an operator what is wrong and nothing of what was sent.
func malformedField(why string) *authctx.Error {
	return refusal(authctx.InvalidRequest, "the field that holds the token is malformed: "+why)
}

// cutScheme returns what follows the scheme (RFC 6750 section 2.1, RFC 9449
// section 7.1). Schemes are compared without regard to case (RFC 9110 section
// 11.1). What has no scheme at all is malformed, unless it is one word that may
// be somebody else's key; so are two lines that somebody joined into one.
func cutScheme(value, want string) (string, error) {
	// A tab ends the scheme too, though it must not: the request is malformed
	// then and not one of another scheme.
	end := strings.IndexAny(value, " \t")
	word := end < 0
	if word {
		end = len(value)
	}
	scheme := value[:end]
	if strings.EqualFold(scheme, want) {
		return strings.TrimLeft(value[end:], " "), nil
	}
	meant := word && len(scheme) > len(want) && strings.EqualFold(scheme[:len(want)], want)
	isScheme := grammar.IsToken(scheme)
	isKey := word && isToken68(scheme)
	switch {
	case joins(value, want):
		return "", errJoinedFields
	case meant || !isScheme && !isKey:
		return "", errNoScheme
	}
	return "", authctx.NoCredentials
}

// isToken68 reports whether s is a token68 (RFC 9110 section 11.2), as which
// keys are written.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") == ""
}

// joins reports whether credentials of a scheme follow others after a comma, where
// only a parameter may follow: NAME, perhaps spaces, and "=" (RFC 9110 section
// 11.4). Two lines were joined, which somebody behind us may take apart again.
func joins(value, scheme string) bool {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			rest := strings.TrimLeft(value[i+1:], " \t")
			if n := len(scheme); len(rest) > n && rest[n] == ' ' && strings.EqualFold(rest[:n], scheme) &&
				!strings.HasPrefix(strings.TrimLeft(rest[n:], " "), "=") {
				return true
			}
		}
	}
	return false
}

// hasSpaceOrControl looks at eight bytes at a time, since it is asked about the
// token of every request.
func hasSpaceOrControl(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		w := binary.LittleEndian.Uint64([]byte(s[:8]))
		del := w ^ ones*0x7f
		// The high bit of a byte is set where it is a space or below or, in the
		// last term, DEL. Borrows only spoil bytes after the first hit.
		if ((w-ones*'!')&^w|(del-ones)&^del)&highs != 0 {
			return true
		}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// looksSigned reports whether a token is written like a signed JWT. It says
// nothing about whether it is a good one.
func looksSigned(token string) bool {
	_, err := cut(token, len(token))
	return err == nil
}
